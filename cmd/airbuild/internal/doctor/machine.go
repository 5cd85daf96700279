package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/engine/diagnose"
	"github.com/airbuild/airbuild/engine/host"
	"github.com/airbuild/airbuild/engine/source"
)

// The space below which a disk is a finding, in bytes.
const (
	littleSpace = 2 << 30
	noSpace     = 200 << 20
)

func (d *doctor) cache() {
	dir, err := d.CacheDir()
	if err != nil {
		d.fail("cache", "set AIRBUILD_CACHE", "%v", err)
		return
	}
	if !d.fp.Disks["cache"].Writable {
		d.fail("cache", "chown it to the user who builds, or set AIRBUILD_CACHE to another directory", "%s cannot be written%s", dir, d.owner(dir))
		return
	}
	d.ok("cache", "%s", dir)
}

// owner tells who owns a path, in brackets.
func (d *doctor) owner(path string) string {
	a, ok := diagnose.Look(path)
	if !ok || a.Owner == "" {
		return ""
	}
	return fmt.Sprintf(" (%s belongs to %s, mode %s; this runs as %s)", a.Path, a.Owner, a.Mode, a.User)
}

func (d *doctor) disks() {
	for _, use := range []string{"project", "cache", "tmp"} {
		disk := d.fp.Disks[use]
		fix := "free space on that disk"
		switch use {
		case "cache":
			fix = "airbuild cache prune --max-size 5GiB, or set AIRBUILD_CACHE to another disk"
		case "tmp":
			fix = "free space, or set TMPDIR to another disk"
		}
		switch {
		case disk.Total == 0:
		case disk.Free < noSpace:
			d.fail("disk", fix, "the disk of %s has %s left", use, host.Size(disk.Free))
		case disk.Free < littleSpace:
			d.warn("disk", fix, "the disk of %s has %s left", use, host.Size(disk.Free))
		case disk.FileSystem == "":
			d.ok("disk", "the disk of %s has %s left", use, host.Size(disk.Free))
		default:
			d.ok("disk", "the disk of %s has %s left (%s)", use, host.Size(disk.Free), disk.FileSystem)
		}
		if disk.FreeInodes >= 0 && disk.FreeInodes < 10_000 && disk.Total > 0 && disk.FileSystem != "vfat" && disk.FileSystem != "exfat" {
			d.fail("disk", "remove many small files, such as old caches", "the disk of %s has %d inodes left", use, disk.FreeInodes)
		}
	}
	if d.fp.Disks["project"].FoldsCase && runtime.GOOS == "linux" {
		d.warn("case", "move the project to a case-sensitive file system", "on the project's file system A and a are one file: names that differ by case only overwrite each other")
	} else if d.fp.Disks["project"].FoldsCase {
		d.ok("case", "on the project's file system A and a are one file, as is usual here")
	}
}

// clockSlack is how far ahead of the clock a time may be.
const clockSlack = 2 * time.Minute

// maxWalk is how many files are looked at for the newest.
const maxWalk = 50_000

// clock holds the clock against the newest of what was written before now.
func (d *doctor) clock() {
	now := time.Now()
	late := func(what string, t time.Time, fix string) bool {
		if t.After(now.Add(clockSlack)) {
			d.fail("clock", fix, "the clock says %s, and %s is of %s: %s ahead", now.UTC().Format(time.RFC3339), what, t.UTC().Format(time.RFC3339), human.Took(t.Sub(now)))
			return true
		}
		return false
	}
	const set = "set the clock: timedatectl set-time, chronyc makestep, or date -u"
	bad := false
	if t, err := time.Parse(time.RFC3339, d.buildTime); err == nil {
		bad = late("the commit that airbuild was built from", t, set) || bad
	}
	if d.root != "" {
		if info, err := source.Read(d.ctx, d.root, []string{"time"}, source.Options{}); err == nil {
			bad = late("the newest commit", info.Time, set) || bad
		}
		if name, t := newest(d.ctx, d.root); name != "" {
			bad = late(name, t, set+"; if the clock is right, touch the file") || bad
		}
	}
	if cache, err := d.CacheDir(); err == nil {
		if name, t := newest(d.ctx, filepath.Join(cache, "ac")); name != "" {
			bad = late("the newest result in the cache", t, set) || bad
		}
	}
	if !bad {
		d.ok("clock", "%s, zone %s", now.UTC().Format(time.RFC3339), d.fp.Clock.Zone)
	}
}

// newest is the file below dir that was changed last, of the first maxWalk.
func newest(ctx context.Context, dir string) (name string, last time.Time) {
	n := 0
	filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return fs.SkipAll
		}
		if e.IsDir() && path != dir && (e.Name() == ".git" || e.Name() == "node_modules") {
			return fs.SkipDir
		}
		if n++; n > maxWalk {
			return fs.SkipAll
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && info.ModTime().After(last) {
			name, last = path, info.ModTime()
		}
		return nil
	})
	return name, last
}

func (d *doctor) limits() {
	least := []struct {
		name string
		min  int64
		fix  string
	}{
		{"nofile", 1024, "ulimit -n 65536, or LimitNOFILE= of the service"},
		{"nproc", 512, "ulimit -u 4096, or pids.max of the control group"},
		{"fsize", 1 << 30, "ulimit -f unlimited"},
		{"inotify_watches", 8192, "sysctl fs.inotify.max_user_watches=524288"},
		{"inotify_instances", 16, "sysctl fs.inotify.max_user_instances=1024"},
	}
	bad := false
	for _, l := range least {
		have, ok := d.fp.Limits[l.name]
		if ok && have.Soft >= 0 && have.Soft < l.min {
			bad = true
			d.warn("limits", l.fix, "%s is %d, which is little", l.name, have.Soft)
		}
	}
	if m := d.fp.Memory.Usable(); m > 0 && m < 1<<30 {
		bad = true
		d.warn("memory", "give the host or its control group more, or run fewer jobs (-j)", "only %s of memory: linking large programs takes more", host.Size(m))
	}
	if !bad && len(d.fp.Limits) > 0 {
		d.ok("limits", "%d files", d.fp.Limits["nofile"].Soft)
	}
}

// namespaces says whether steps can be kept off the network here.
func (d *doctor) namespaces() {
	if runtime.GOOS != "linux" {
		d.ok("sandbox", "not enforced on this system: steps see the whole host and its network")
		return
	}
	for _, name := range []string{"user_namespaces", "network_namespaces", "mount_namespaces"} {
		s := d.fp.Syscalls[name]
		if !s.Works {
			d.warn("sandbox", "sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0; in a container, its seccomp profile",
				"%s cannot be made: %s; steps are not kept off the network", strings.ReplaceAll(name, "_", " "), s.Detail)
			return
		}
	}
	d.ok("sandbox", "user, network and mount namespaces can be made")
}
