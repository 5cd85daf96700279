package host

import (
	"bytes"
	"context"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine/host/hosttest"
	"github.com/airbuild/airbuild/engine/host/want"
)

const fixture = "../../testdata/formats/fingerprint-1.json"

// full is the fingerprint of the frozen fixture: every field has a value.
func full() *Fingerprint {
	return &Fingerprint{
		Version: 1, Airbuild: "0.1.0", OS: "linux", Arch: "amd64", Level: "v3", CPUs: 4, CPU: "Example CPU", Features: []string{"avx2", "sse2"},
		Distribution: Distribution{"debian", "12", "Debian GNU/Linux 12 (bookworm)"}, Kernel: "6.1.0-18-amd64",
		Libc: Libc{"glibc", "2.36"}, Memory: Memory{8 << 30, 4 << 30, 2 << 30},
		Disks:  map[string]Disk{"cache": {100 << 30, 50 << 30, 1000000, "ext4", false, true}},
		Limits: map[string]Limit{"nofile": {1024, 1048576}, "nproc": {-1, -1}},
		Clock:  Clock{"2026-01-31T12:00:00Z", "Europe/Berlin", 3600, "yes"},
		Syscalls: map[string]Syscall{
			"epoll": {true, ""}, "io_uring": {false, "operation not permitted"}, "landlock": {true, "ABI 4"},
		},
		Tools: map[string]Tool{"git": {true, "2.39.5", "/usr/bin/git"}, "upx": {}},
		Env:   Env{[]string{"LANG", "PATH"}, map[string]string{"LANG": "C.UTF-8"}},
	}
}

func TestFrozenFingerprint(t *testing.T) {
	frozen, err := os.ReadFile(fixture)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Decode(frozen)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(f, full()) {
		t.Errorf("decoded %+v", f)
	}
	again, err := full().Encode()
	if err != nil || !bytes.Equal(again, frozen) {
		t.Errorf("encoded (%v)\n%s", err, again)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for text, want := range map[string]string{
		``:                           "not a JSON object",
		`[]`:                         "not a JSON object",
		`{}`:                         "no version",
		`{"version":2,"os":"linux"}`: "version 2",
		`{"version":1,"os":"linux"}`: "os and arch",
		`{"version":1,"os":"a","arch":"b","x":1}`: `unknown field "x"`,
		`{"version":1,"os":"a","arch":"b"}{}`:     "invalid character",
		`{"version":1,"os":"a","arch":7}`:         "cannot unmarshal",
		strings.Repeat(" ", maxFingerprint+1):     "more than one has",
	} {
		if _, err := Decode([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %s", text, err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	frozen, err := os.ReadFile(fixture)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(frozen)
	f.Add([]byte(`{"version":1,"os":"a","arch":"b"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		fp, err := Decode(data)
		if err != nil {
			return
		}
		b, err := fp.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Decode(b)
		if err != nil {
			t.Fatalf("%v in %s", err, b)
		}
		c, err := again.Encode()
		if err != nil || !bytes.Equal(b, c) {
			t.Fatalf("%v\n%s\n%s", err, b, c)
		}
	})
}

func TestTake(t *testing.T) {
	dir := t.TempDir()
	f, err := Take(context.Background(), Options{
		Airbuild: "test", Disks: map[string]string{"tmp": dir + "/not/there/yet"}, Tools: []string{"go", "no-such-program"}, Env: []string{"LANG", "GOPROXY"},
		Environ: []string{"LANG=C", "SECRET_TOKEN=abc123", "GOPROXY=https://user:hunter2@proxy.example,direct", "PATH=" + os.Getenv("PATH"), "HOME=" + hosttest.Home(t, t.TempDir()), "=C:=x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if f.OS != runtime.GOOS || f.Arch != runtime.GOARCH || f.Kernel == "" || f.Memory.Total == 0 || f.CPUs == 0 {
		t.Errorf("%+v", f)
	}
	if d := f.Disks["tmp"]; d.Total == 0 || d.Free == 0 || !d.Writable {
		t.Errorf("disk %+v", d)
	}
	if !f.Tools["go"].Found || !strings.HasPrefix(f.Tools["go"].Version, "1.") || f.Tools["no-such-program"].Found {
		t.Errorf("tools %+v", f.Tools)
	}
	b, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if s := string(b); strings.Contains(s, "hunter2") || strings.Contains(s, "abc123") || !strings.Contains(s, `"SECRET_TOKEN"`) || !strings.Contains(s, "https://proxy.example,direct") {
		t.Errorf("%s", s)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := Take(context.Background(), Options{Tools: []string{}, Env: []string{"GITHUB_TOKEN"}}); err == nil {
		t.Error("the value of a secret was taken")
	}
	if runtime.GOOS != "linux" {
		return
	}
	for _, name := range want.Syscalls() {
		if _, ok := f.Syscalls[name]; !ok {
			t.Errorf("%s is not probed", name)
		}
	}
	if len(f.Syscalls) != len(want.Syscalls()) || !f.Syscalls["epoll"].Works {
		t.Errorf("%+v", f.Syscalls)
	}
}

func TestCheck(t *testing.T) {
	constraint := func(s string) want.Constraint {
		c, err := want.ParseConstraint(s)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	fits := &want.Host{
		OS: []string{"darwin", "linux"}, Arch: []want.Arch{{Name: "amd64", Level: "v3"}}, Kernel: constraint(">= 4.18"), Glibc: constraint(">= 2.28, < 3"),
		Commands: []want.Command{{Name: "git", Version: constraint(">= 2.30")}}, Memory: 1 << 30, Disk: map[string]int64{"cache": 1 << 30},
		Syscalls: []string{"epoll"}, Env: []want.Variable{{Name: "PATH"}, {Name: "LANG", Value: "C.UTF-8", Exact: true}},
	}
	rows := Check(fits, full())
	if !Fits(rows) || len(rows) != 10 {
		t.Errorf("%+v", rows)
	}
	not := &want.Host{
		OS: []string{"windows"}, Arch: []want.Arch{{Name: "arm64"}, {Name: "amd64", Level: "v4"}}, Kernel: constraint(">= 6.2"), Glibc: constraint("2.28"),
		Commands: []want.Command{{Name: "git", Version: constraint(">= 3")}, {Name: "upx"}, {Name: "other"}}, Memory: 3 << 30, Disk: map[string]int64{"cache": 51 << 30, "tmp": 1},
		Syscalls: []string{"io_uring", "clone3"}, Env: []want.Variable{{Name: "SITE"}, {Name: "LANG", Value: "C", Exact: true}},
	}
	rows = Check(not, full())
	if len(rows) != 14 {
		t.Errorf("%d rows", len(rows))
	}
	for _, r := range rows {
		if r.Status != Mismatch || r.Fix == "" || r.Found == "" {
			t.Errorf("%+v", r)
		}
	}
}

func TestCompare(t *testing.T) {
	if rows := Compare(full(), full()); !Fits(rows) || len(rows) < 15 {
		t.Errorf("%+v", rows)
	}
	for what, change := range map[string]func(*Fingerprint){
		"os":              func(f *Fingerprint) { f.OS = "darwin" },
		"arch":            func(f *Fingerprint) { f.Arch = "arm64" },
		"level":           func(f *Fingerprint) { f.Level = "v2" },
		"kernel":          func(f *Fingerprint) { f.Kernel = "5.15.0" },
		"glibc":           func(f *Fingerprint) { f.Libc.Version = "2.9" },
		"syscall epoll":   func(f *Fingerprint) { f.Syscalls["epoll"] = Syscall{Detail: "no"} },
		"command git":     func(f *Fingerprint) { f.Tools["git"] = Tool{} },
		"memory":          func(f *Fingerprint) { f.Memory.Limit = 1 },
		"limit nofile":    func(f *Fingerprint) { f.Limits["nofile"] = Limit{10, 10} },
		"limit nproc":     func(f *Fingerprint) { f.Limits["nproc"] = Limit{10, 10} },
		"time zone":       func(f *Fingerprint) { f.Clock.Zone = "UTC" },
		"clock":           func(f *Fingerprint) { f.Clock.Time = "2026-01-30T12:00:00Z" },
		"features":        func(f *Fingerprint) { f.Features = nil },
		"disk cache case": func(f *Fingerprint) { f.Disks["cache"] = Disk{Free: 60 << 30, FoldsCase: true} },
		"env LANG":        func(f *Fingerprint) { f.Env.Values = nil },
	} {
		here := full()
		change(here)
		rows := Compare(full(), here)
		found := false
		for _, r := range rows {
			found = found || r.What == what && r.Status != OK
		}
		if !found {
			t.Errorf("%s: %+v", what, rows)
		}
	}
}

func TestVersionIn(t *testing.T) {
	for text, want := range map[string]string{
		"go version go1.26.8 linux/amd64\n":                                "1.26.8",
		"gcc (Debian 12.2.0-14) 12.2.0\nCopyright (C) 2022\n":              "12.2.0",
		"GNU ld (GNU Binutils for Debian) 2.40\n":                          "2.40",
		"git version 2.39.5\n":                                             "2.39.5",
		"OpenSSL 3.0.17 1 Jul 2025 (Library: OpenSSL 3.0.17 1 Jul 2025)\n": "3.0.17",
		"UnZip 6.00 of 20 April 2009, by Debian. Original by Info-ZIP.\n":  "6.00",
		"Docker version 24.0.7, build afdd53b\n":                           "24.0.7",
		"Copyright (c) 1990-2008\nZip 3.0 (July 5th 2008), by E. Gordon\n": "3.0",
		"usage: nothing\n":                 "",
		"go version go1.27rc1 linux/amd64": "1.27rc1",
	} {
		if got := versionIn(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestParseOSRelease(t *testing.T) {
	d := parseOSRelease("# x\nNAME=Alpine\nPRETTY_NAME=\"A \\\"B\\\" $\"\nID='alpine'\nVERSION_ID=3.20\n")
	if d != (Distribution{"alpine", "3.20", `A "B" $`}) {
		t.Errorf("%+v", d)
	}
}

func TestArmLevel(t *testing.T) {
	for features, want := range map[string]string{
		"fp asimd": "v8.0", "atomics crc32 asimdrdm": "v8.1", "atomics crc32 asimdrdm dcpop": "v8.2",
		"atomics crc32 asimdrdm dcpop fcma jscvt lrcpc dit flagm ilrcpc uscat sb flagm2 frint sve2": "v9.0",
		"atomics crc32 asimdrdm fcma jscvt lrcpc":                                                   "v8.1",
	} {
		if got := armLevel(strings.Fields(features)); got != want {
			t.Errorf("%s: %s, want %s", features, got, want)
		}
	}
}

func TestMuslVersion(t *testing.T) {
	if got := muslVersion([]byte("x\x001.2\x00y\x001.2.5\x00z")); got != "1.2.5" {
		t.Errorf("%q", got)
	}
}

func TestFindLibc(t *testing.T) {
	if runtime.GOOS == "linux" && FindLibc("") == (Libc{}) {
		if _, err := os.Stat("/lib64/ld-linux-x86-64.so.2"); err == nil {
			t.Error("there is a loader of glibc and no glibc")
		}
	}
}
