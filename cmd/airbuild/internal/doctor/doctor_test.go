package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine/host"
)

// found are the findings in short: "error disk".
func found(fp *host.Fingerprint, check func(*doctor)) (all []string) {
	d := &doctor{fp: fp}
	check(d)
	for _, f := range d.findings {
		all = append(all, fmt.Sprintf("%s %s", f.Status, f.Check))
		if f.Status != OK && f.Fix == "" {
			all = append(all, "without a fix")
		}
	}
	return all
}

func TestDisks(t *testing.T) {
	for _, test := range []struct {
		name string
		disk host.Disk
		want []string
	}{
		{"unknown", host.Disk{FreeInodes: -1}, nil},
		{"full", host.Disk{Total: 1 << 40, Free: noSpace - 1, FreeInodes: -1}, []string{"error disk"}},
		{"little", host.Disk{Total: 1 << 40, Free: littleSpace - 1, FreeInodes: 10_000}, []string{"warning disk"}},
		{"enough", host.Disk{Total: 1 << 40, Free: littleSpace, FreeInodes: 10_000}, []string{"ok disk"}},
		{"no inodes", host.Disk{Total: 1 << 40, Free: littleSpace, FreeInodes: 9_999, FileSystem: "ext4"}, []string{"ok disk", "error disk"}},
		{"vfat has none", host.Disk{Total: 1 << 40, Free: littleSpace, FileSystem: "vfat"}, []string{"ok disk"}},
	} {
		fp := &host.Fingerprint{Disks: map[string]host.Disk{"cache": test.disk}}
		if got := found(fp, (*doctor).disks); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestLimits(t *testing.T) {
	for _, test := range []struct {
		name   string
		limits map[string]host.Limit
		memory host.Memory
		want   []string
	}{
		{"unknown", nil, host.Memory{}, nil},
		{"unlimited", map[string]host.Limit{"nofile": {Soft: -1}, "nproc": {Soft: 512}}, host.Memory{Total: 1 << 30}, []string{"ok limits"}},
		{"few", map[string]host.Limit{"nofile": {Soft: 1023}, "nproc": {Soft: 511}}, host.Memory{}, []string{"warning limits", "warning limits"}},
		{"memory", map[string]host.Limit{"nofile": {Soft: 1024}}, host.Memory{Total: 1 << 35, Limit: 1<<30 - 1}, []string{"warning memory"}},
	} {
		if got := found(&host.Fingerprint{Limits: test.limits, Memory: test.memory}, (*doctor).limits); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestNewest(t *testing.T) {
	dir := t.TempDir()
	old := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for i, name := range []string{"a", "sub/b", ".git/c", "sub/node_modules/d"} {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, old, old.AddDate(i, 0, 0)); err != nil {
			t.Fatal(err)
		}
	}
	name, last := newest(t.Context(), dir)
	if name != filepath.Join(dir, "sub", "b") || !last.Equal(old.AddDate(1, 0, 0)) {
		t.Errorf("got %s, %v", name, last)
	}
	if name, _ := newest(t.Context(), filepath.Join(dir, "gone")); name != "" {
		t.Errorf("of nothing: %s", name)
	}
}
