package progress

import (
	"bytes"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine/bundle"
)

// phasesShown shows two phases on a meter.
func phasesShown(m *Meter) string {
	var out bytes.Buffer
	m.Out = &out
	m.Show(bundle.Progress{Phase: bundle.PhaseHash, Total: 2048})
	m.Show(bundle.Progress{Phase: bundle.PhaseHash, Bytes: 2048, Total: 2048})
	m.Show(bundle.Progress{Phase: Fetch, Total: 1024})
	m.End()
	return out.String()
}

func TestMeterLines(t *testing.T) {
	if got, want := phasesShown(&Meter{}), "reading 2.0 KiB\nfetching 1.0 KiB\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := phasesShown(&Meter{Quiet: true}); got != "" {
		t.Errorf("quiet: got %q", got)
	}
}

// The line of a terminal is cleared before another phase and at the end.
func TestMeterLive(t *testing.T) {
	var out bytes.Buffer
	m := &Meter{Out: &out, Live: true}
	m.Show(bundle.Progress{Phase: bundle.PhaseHash, Total: 2048})
	m.Show(bundle.Progress{Phase: Fetch, Total: 1024})
	m.End()
	m.End()
	const clear = "\r\x1b[K"
	if got, want := out.String(), clear+"reading 0 B of 2.0 KiB"+clear+clear+"fetching 0 B of 1.0 KiB"+clear; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAmount(t *testing.T) {
	began := time.Unix(1000, 0)
	m := &Meter{began: began}
	for _, test := range []struct {
		progress bundle.Progress
		spent    time.Duration
		want     string
	}{
		{bundle.Progress{Bytes: 5}, time.Minute, ""},
		{bundle.Progress{Bytes: 1024, Total: 4096}, time.Second, "1.0 KiB of 4.0 KiB"},
		{bundle.Progress{Total: 4096}, time.Minute, "0 B of 4.0 KiB"},
		{bundle.Progress{Bytes: 1024, Total: 4096}, 10 * time.Second, "1.0 KiB of 4.0 KiB, 30s left"},
	} {
		if got := m.amount(test.progress, began.Add(test.spent)); got != test.want {
			t.Errorf("%+v after %v: got %q, want %q", test.progress, test.spent, got, test.want)
		}
	}
}
