package load

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkLoad is one program for one platform with everything remembered:
// reading the facts and answering. cmd/go is all standard library, of which
// what lies in cmd may change; airbuild is listed without it. The metric "ratio"
// is the median of the time of go list -deps -json over Load's, measured in
// turn, "least-ms" the shortest Load: what the machine's other work adds is not
// in it.
func BenchmarkLoad(b *testing.B) {
	self, err := filepath.Abs("../../..")
	if err != nil {
		b.Fatal(err)
	}
	for _, tt := range []struct {
		name, dir, pattern string
		std                bool
	}{
		{"cmd-go", filepath.Join(goSetting(b, "GOROOT"), "src", "cmd"), "./go", true},
		{"airbuild", self, "./cmd/airbuild", false},
	} {
		b.Run(tt.name, func(b *testing.B) {
			q := newQuery(b, tt.dir, "linux/amd64", tt.pattern)
			q.Project, q.Std = q.Dir, tt.std
			path := filepath.Join(b.TempDir(), "facts")
			warm := OpenFacts(path)
			if _, err := Load(q, disk{}, warm); err != nil {
				b.Fatal(err)
			}
			if err := warm.Save(); err != nil {
				b.Fatal(err)
			}
			index := &indexed{digests: map[string]string{}}
			if _, err := Load(q, index, OpenFacts(path)); err != nil { // which hashes
				b.Fatal(err)
			}
			var ratios []float64
			least := time.Hour
			b.ReportAllocs()
			for b.Loop() {
				t0 := time.Now()
				if _, err := Load(q, index, OpenFacts(path)); err != nil {
					b.Fatal(err)
				}
				t1 := time.Now()
				least = min(least, t1.Sub(t0))
				b.StopTimer()
				if _, err := goList(b, q); err != nil {
					b.Fatal(err)
				}
				ratios = append(ratios, float64(time.Since(t1))/float64(t1.Sub(t0)))
				b.StartTimer()
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "ratio")
			b.ReportMetric(float64(least.Microseconds())/1e3, "least-ms")
		})
	}
}

// BenchmarkLoadCold is the same with nothing remembered: every file is read and
// parsed.
func BenchmarkLoadCold(b *testing.B) {
	q := newQuery(b, filepath.Join(goSetting(b, "GOROOT"), "src", "cmd"), "linux/amd64", "./go")
	q.Project, q.Std = q.Dir, true
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load(q, disk{}, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// indexed is a Source as a stat index gives it: one lstat a file that has not
// changed.
type indexed struct {
	disk
	mu      sync.Mutex
	digests map[string]string
}

func (s *indexed) Digest(name string) (string, error) {
	if _, err := os.Lstat(name); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.digests[name]
	if !ok {
		var err error
		if d, err = s.disk.Digest(name); err != nil {
			return "", err
		}
		s.digests[name] = d
	}
	return d, nil
}
