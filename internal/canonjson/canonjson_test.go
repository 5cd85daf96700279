package canonjson

import "testing"

func TestEncodings(t *testing.T) {
	v := struct {
		B string
		A map[string]any
		N int64
	}{"<&>\u2028", map[string]any{"z": 1, "a": []int(nil)}, 1<<62 + 1}
	for name, c := range map[string]struct {
		encode func(any) ([]byte, error)
		want   string
	}{
		"compact": {Compact, `{"B":"<&>\u2028","A":{"a":null,"z":1},"N":4611686018427387905}`},
		"sorted":  {Sorted, `{"A":{"a":null,"z":1},"B":"<&>\u2028","N":4611686018427387905}`},
	} {
		if got, err := c.encode(v); err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}
