package load

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// BenchmarkLoad is cmd/go for one platform with everything remembered: reading
// the facts and answering, with the standard library listed and without, where
// cmd is source that may change. The metric "ratio" is the median of the time
// of go list -deps -json over Load's, measured in turn.
func BenchmarkLoad(b *testing.B) {
	src := filepath.Join(goSetting(b, "GOROOT"), "src")
	for _, std := range []bool{true, false} {
		name := "without std"
		if std {
			name = "with std"
		}
		b.Run(name, func(b *testing.B) {
			q := newQuery(b, filepath.Join(src, "cmd"), "linux/amd64", "./go")
			q.Project, q.Std = q.Dir, std
			path := filepath.Join(b.TempDir(), "facts")
			warm := OpenFacts(path)
			if _, err := Load(q, Disk{}, warm); err != nil {
				b.Fatal(err)
			}
			if err := warm.Save(); err != nil {
				b.Fatal(err)
			}
			index := &indexed{digests: map[string]string{}}
			var ratios []float64
			var ours time.Duration
			b.ReportAllocs()
			for b.Loop() {
				t0 := time.Now()
				if _, err := Load(q, index, OpenFacts(path)); err != nil {
					b.Fatal(err)
				}
				t1 := time.Now()
				ours += t1.Sub(t0)
				b.StopTimer()
				if _, err := goList(b, q); err != nil {
					b.Fatal(err)
				}
				ratios = append(ratios, float64(time.Since(t1))/float64(t1.Sub(t0)))
				b.StartTimer()
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "ratio")
		})
	}
}

// indexed is a Source as a stat index gives it: one lstat a file that has not
// changed.
type indexed struct {
	Disk
	digests map[string]string
}

func (s *indexed) Digest(name string) (string, error) {
	if _, err := os.Lstat(name); err != nil {
		return "", err
	}
	d, ok := s.digests[name]
	if !ok {
		var err error
		if d, err = s.Disk.Digest(name); err != nil {
			return "", err
		}
		s.digests[name] = d
	}
	return d, nil
}
