package engine

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// TestOwnLinesOfHistory: what the quick reader takes it reads as JSON is read.
func TestOwnLinesOfHistory(t *testing.T) {
	for _, o := range []outcome{
		{Step: "bin[linux/amd64,yq]", Key: "ab/12", Time: time.Unix(1, 2).UTC(), MS: 3, Sizes: []int64{4, 5}},
		{Step: "a", Key: "", Time: time.Time{}, MS: -1},
		{Step: "zwölf", Key: "k", Time: time.Unix(1, 0).In(time.FixedZone("", 3600)), MS: 0, Sizes: []int64{0}},
	} {
		b, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := parseOwn(string(b))
		var want outcome
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatal(err)
		}
		if !ok || !reflect.DeepEqual(normal(got), normal(want)) {
			t.Errorf("%s: read %+v, %t", b, got, ok)
		}
	}
}

func normal(o outcome) outcome {
	o.Time = o.Time.UTC()
	return o
}

// FuzzOwnLinesOfHistory: the quick reader takes no line that JSON reads
// otherwise.
func FuzzOwnLinesOfHistory(f *testing.F) {
	for _, line := range []string{
		`{"step":"a","key":"k","time":"2026-01-02T03:04:05.6Z","ms":7,"sizes":[8,9]}`,
		`{"step":"a\u0062","key":"k","time":"2026-01-02T03:04:05Z","ms":7}`,
		`{"step":"a","key":"k","time":"2026-01-02T03:04:05Z","ms":+7}`,
		`{"step":"a","key":"k","time":"2026-01-02T03:04:05Z","ms":7,"sizes":[]}`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		got, ok := parseOwn(string(line))
		if !ok || !bytes.Equal(bytes.ToValidUTF8(line, nil), line) {
			return
		}
		var want outcome
		if err := json.Unmarshal(line, &want); err != nil {
			return // more lenient: a line that nobody writes
		}
		if !reflect.DeepEqual(normal(got), normal(want)) {
			t.Fatalf("%s: read %+v, want %+v", line, got, want)
		}
	})
}
