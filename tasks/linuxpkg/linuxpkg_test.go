package linuxpkg

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/tasktest"
)

// sample is a project whose program is larger than the blocks of all
// compressors, so that work shared between threads would show.
func sample() fstest.MapFS {
	program := make([]byte, 5<<19)
	source := mathrand.New(mathrand.NewPCG(1, 2))
	for i := range program {
		program[i] = byte(source.Uint32() & 0x3f)
	}
	text := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s), Mode: 0o644} }
	return fstest.MapFS{
		"dist/hello":              {Data: program, Mode: 0o755},
		"LICENSE":                 text("Copyright 2026 Ann Example\n\nFree.\n"),
		"packaging/hello.conf":    text("port = 80\n"),
		"packaging/empty":         text(""),
		"packaging/hello.service": text("[Unit]\nDescription=Hello\nDocumentation=https://example.com/hello\n\n[Service]\nExecStart=/usr/bin/hello\n\n[Install]\nWantedBy=multi-user.target\n"),
		"packaging/post.sh":       text("#!/bin/sh\nset -e\necho \"post $1\"\nexit 0\n"),
		"docs/a.md":               text("a\n"),
		"docs/more/b.md":          text("b\n"),
		"docs/run.sh":             {Data: []byte("#!/bin/sh\n"), Mode: 0o755},
		"changes.yml": text("- semver: 1.2.3\n  date: 2026-01-30T10:00:00Z\n  packager: Bob <bob@example.com>\n  changes:\n    - note: |-\n        Say hello\n        to all\n" +
			"- semver: 1.2.2\n  date: 2025-12-30T10:00:00Z\n  packager: Bob <bob@example.com>\n  changes:\n    - note: Begin\n"),
	}
}

func block(formats ...string) *tasks.Block {
	b := tasktest.Block("package", "packages", sample())
	b.Platform = &tasks.Platform{OS: "linux", Arch: "amd64"}
	b.Description = "greets its user"
	b.Project.Root = "/project"
	b.Project.Source = tasks.Source{Time: time.Unix(1700000000, 0).UTC(), Epoch: 1700000000}
	set(b, "format", formats, "version", "v1.2.3", "maintainer", "Ann Example <ann@example.com>", "license", "MIT",
		"details", "It says hello to whoever\nstarts it.\n\nTwice.", "binaries", tasktest.Made("dist/hello"))
	return b
}

// set sets attributes: name, value, name, value.
func set(b *tasks.Block, pairs ...any) {
	for i := 0; i < len(pairs); i += 2 {
		name := pairs[i].(string)
		tasktest.Set(b, name, pairs[i+1])
		if typ, rest, nested := strings.Cut(name, "."); nested {
			label := rest[:strings.LastIndexByte(rest, '.')]
			if b.Labels == nil {
				b.Labels = map[string][]string{}
			}
			if !slices.Contains(b.Labels[typ], label) {
				b.Labels[typ] = append(b.Labels[typ], label)
			}
		}
	}
}

// full is a block with something of everything.
func full(formats ...string) *tasks.Block {
	b := block(formats...)
	set(b, "homepage", "https://example.com/hello", "license_file", tasktest.Files("LICENSE"), "vendor", "Example",
		"lintian_overrides", []string{"statically-linked-binary", "no-manual-page"},
		"contents./etc/hello/hello.conf.src", tasktest.Files("packaging/hello.conf"), "contents./etc/hello/hello.conf.type", "config_noreplace",
		"contents./etc/hello/hello.conf.mode", "0640",
		"contents./usr/share/hello/empty.src", tasktest.Files("packaging/empty"),
		"contents./usr/share/hello/docs.src", tasktest.Files("docs"),
		"contents.link.type", "symlink", "contents.link.dst", "/usr/bin/hi", "contents.link.target", "hello",
		"contents./var/lib/hello.type", "dir",
		"contents./usr/share/doc/hello/.src", tasktest.Files("docs/a.md"), "contents./usr/share/doc/hello/.type", "doc",
		"systemd.hello.service.src", tasktest.Files("packaging/hello.service"),
		"postinstall", tasktest.Files("packaging/post.sh"))
	if slices.Contains(formats, deb) {
		set(b, "override.deb.depends", []string{"init-system-helpers (>= 1.54)"})
	}
	return b
}

func build(t *testing.T, b *tasks.Block) (dir string, s engine.Step) {
	t.Helper()
	s = tasktest.Step(t, task{}, b)
	var l engine.Discovery
	if s.Discoverer != nil {
		var err error
		if l, err = s.Discoverer.Discover(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	dir, log, err := tasktest.RunPrivate(t, Tools(), s, sample(), l.Private)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	return dir, s
}

func read(t *testing.T, elem ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSameBytes builds everything in two directories and with different
// numbers of threads.
func TestSameBytes(t *testing.T) {
	if testing.Short() {
		t.Skip("makes many packages")
	}
	for _, compression := range []string{"gzip", "zstd"} {
		b := full(formats[:]...)
		set(b, "compression", compression)
		signed(t, b)
		old := runtime.GOMAXPROCS(1)
		first, s := build(t, b)
		runtime.GOMAXPROCS(old + 3)
		second, _ := build(t, b)
		runtime.GOMAXPROCS(old)
		for _, out := range s.Command.OutputPaths {
			want := read(t, first, out)
			if !bytes.Equal(want, read(t, second, out)) {
				t.Errorf("%s with %s: other bytes", out, compression)
			}
		}
		if left, _ := filepath.Glob(filepath.Join(first, ".package-*")); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
}

func TestOutputs(t *testing.T) {
	for _, tt := range []struct {
		platform, variant, attrs, want string
	}{
		{"amd64", "", "", "hello-1.2.3-1-x86_64.pkg.tar.zst hello-1.2.3-1.x86_64.rpm hello_1.2.3-r0_x86_64.apk hello_1.2.3_amd64.deb"},
		{"amd64", "v1", "", "hello-1.2.3-1-x86_64.pkg.tar.zst hello-1.2.3-1.x86_64.rpm hello_1.2.3-r0_x86_64.apk hello_1.2.3_amd64.deb"},
		{"amd64", "v3", "", "hello-1.2.3-1-x86_64.v3.pkg.tar.zst hello-1.2.3-1.x86_64.v3.rpm hello_1.2.3-r0_x86_64.v3.apk hello_1.2.3_amd64.v3.deb"},
		{"arm64", "", "", "hello-1.2.3-1-aarch64.pkg.tar.zst hello-1.2.3-1.aarch64.rpm hello_1.2.3-r0_aarch64.apk hello_1.2.3_arm64.deb"},
		{"arm", "", "", "hello-1.2.3-1-armv7h.pkg.tar.zst hello-1.2.3-1.armv7hl.rpm hello_1.2.3-r0_armv7.apk hello_1.2.3_armhf.deb"},
		{"arm", "v6", "", "hello-1.2.3-1-armv6h.pkg.tar.zst hello-1.2.3-1.armv6hl.rpm hello_1.2.3-r0_armhf.apk hello_1.2.3_armhf.deb"},
		{"arm", "v7,softfloat", "", "hello-1.2.3-1-arm.pkg.tar.zst hello-1.2.3-1.armv5tel.rpm hello_1.2.3-r0_arm5.apk hello_1.2.3_armel.deb"},
		{"386", "", "", "hello-1.2.3-1-i686.pkg.tar.zst hello-1.2.3-1.i386.rpm hello_1.2.3-r0_x86.apk hello_1.2.3_i386.deb"},
		{"ppc64le", "", "", "hello-1.2.3-1-ppc64le.pkg.tar.zst hello-1.2.3-1.ppc64le.rpm hello_1.2.3-r0_ppc64le.apk hello_1.2.3_ppc64el.deb"},
		{"amd64", "", "arch=all", "hello-1.2.3-1-any.pkg.tar.zst hello-1.2.3-1.noarch.rpm hello_1.2.3-r0_noarch.apk hello_1.2.3_all.deb"},
		{"amd64", "", "release=3", "hello-1.2.3-3-x86_64.pkg.tar.zst hello-1.2.3-3.x86_64.rpm hello_1.2.3-3_amd64.deb hello_1.2.3-r3_x86_64.apk"},
		{"amd64", "", "override.rpm.release=7.el9", "hello-1.2.3-1-x86_64.pkg.tar.zst hello-1.2.3-7.el9.x86_64.rpm hello_1.2.3-r0_x86_64.apk hello_1.2.3_amd64.deb"},
		{"amd64", "", "output=a/b.deb", "a/b.deb a/b.deb.apk a/b.deb.pkg.tar.zst a/b.deb.rpm"},
		{"amd64", "", "name=other", "other-1.2.3-1-x86_64.pkg.tar.zst other-1.2.3-1.x86_64.rpm other_1.2.3-r0_x86_64.apk other_1.2.3_amd64.deb"},
	} {
		b := block(formats[:]...)
		b.Platform = &tasks.Platform{OS: "linux", Arch: tt.platform, Variant: tt.variant}
		if name, value, ok := strings.Cut(tt.attrs, "="); ok {
			set(b, name, value)
		}
		s := tasktest.Step(t, task{}, b)
		if got := strings.ReplaceAll(strings.Join(s.Command.OutputPaths, " "), "dist/", ""); got != tt.want {
			t.Errorf("%s %s %s:\n got %s\nwant %s", tt.platform, tt.variant, tt.attrs, got, tt.want)
		}
	}
}

func TestMistakes(t *testing.T) {
	none := []string{}
	for name, tt := range map[string]struct {
		attrs []any
		want  string
	}{
		"no format":          {[]any{"format", none}, "No format"},
		"version":            {[]any{"version", "latest"}, "Not a version"},
		"prerelease":         {[]any{"prerelease", "a b"}, "Not a prerelease"},
		"epoch":              {[]any{"epoch", -1}, "Not an epoch"},
		"name":               {[]any{"name", "Hello World"}, "Not a package's name"},
		"upper case":         {[]any{"name", "Hello"}, "Not a package's name"},
		"no name":            {[]any{"binaries", tasktest.Files()}, "No name"},
		"arch":               {[]any{"arch", "a b"}, "Not an architecture"},
		"lines":              {[]any{"homepage", "a\nb"}, "More than one line"},
		"summary":            {[]any{"summary", "a\nb"}, "No summary"},
		"maintainer":         {[]any{"maintainer", "Ann"}, "Not a maintainer"},
		"license":            {[]any{"license", ""}, "No license"},
		"release":            {[]any{"release", "a"}, "is a number"},
		"release of a deb":   {[]any{"release", "a-b"}, "Not a release"},
		"depends":            {[]any{"depends", []string{"a\nEvil: 1"}}, "Not a package"},
		"mtime":              {[]any{"mtime", "yesterday"}, "Not a time"},
		"year":               {[]any{"mtime", "2200-01-01T00:00:00Z"}, "Time out of range"},
		"bindir":             {[]any{"bindir", "usr/bin"}, "Not a place"},
		"destination":        {[]any{"contents.etc/x.src", tasktest.Files("LICENSE")}, "Not a place"},
		"escape":             {[]any{"contents./a/../../etc/x.src", tasktest.Files("LICENSE")}, "Not a place"},
		"no source":          {[]any{"contents./etc/x.mode", "0644"}, "Nothing to install"},
		"two sources":        {[]any{"contents./etc/x.src", tasktest.Files("LICENSE", "docs")}, "Several files"},
		"mode":               {[]any{"contents./etc/x.src", tasktest.Files("LICENSE"), "contents./etc/x.mode", "9"}, "Not a file mode"},
		"owner":              {[]any{"contents./etc/x.src", tasktest.Files("LICENSE"), "contents./etc/x.owner", "a b"}, "Not a name"},
		"link":               {[]any{"contents./etc/x.type", "symlink"}, "Link to nowhere"},
		"target":             {[]any{"contents./etc/x.src", tasktest.Files("LICENSE"), "contents./etc/x.target", "y"}, "Target of no link"},
		"dir with source":    {[]any{"contents./etc/x.src", tasktest.Files("LICENSE"), "contents./etc/x.type", "dir"}, "Source of nothing"},
		"twice":              {[]any{"contents./usr/bin/hello.src", tasktest.Files("LICENSE")}, "Two things at one place"},
		"unit":               {[]any{"systemd.hello.src", tasktest.Files("LICENSE")}, "Not a unit's name"},
		"template":           {[]any{"systemd.hello@.service.src", tasktest.Files("LICENSE")}, "Template to start"},
		"other override":     {[]any{"format", []string{"deb"}, "override.rpm.name", "x"}, "Block of another format"},
		"deb upgrade script": {[]any{"override.deb.postupgrade", tasktest.Files("packaging/post.sh")}, "Script that does not run"},
		"no key":             {[]any{"signature.rpm.fingerprint", strings.Repeat("A", 40)}, "No key to sign with"},
		"two keys":           {[]any{"signature.rpm.key_file", "a", "signature.rpm.key_env", "B"}, "Two keys"},
		"fingerprint":        {[]any{"signature.rpm.key_file", "a", "signature.rpm.fingerprint", "xyz"}, "Not a fingerprint"},
		"archlinux key":      {[]any{"signature.archlinux.key_file", "a"}, "Detached signature"},
		"role of rpm":        {[]any{"signature.rpm.key_file", "a", "signature.rpm.role", "origin"}, "Attribute of another format"},
	} {
		t.Run(name, func(t *testing.T) {
			b := block(formats[:]...)
			set(b, tt.attrs...)
			tasktest.WantError(t, task{}, b, tt.want)
		})
	}
	b := block(deb)
	b.Platform.OS = "windows"
	tasktest.WantError(t, task{}, b, "when = each.os")
	b.Platform = nil
	tasktest.WantError(t, task{}, b, "No architecture")
}

// keys makes an OpenPGP key and an RSA key, as users export them.
func keys(t *testing.T, passphrase string) (pgp, apkKey []byte, public *openpgp.Entity) {
	t.Helper()
	e, err := openpgp.NewEntity("Ann Example", "", "ann@example.com", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA,
		Time: func() time.Time { return time.Unix(1600000000, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	if passphrase != "" {
		if err := e.EncryptPrivateKeys([]byte(passphrase), nil); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	w, err := armor.Encode(&out, openpgp.PrivateKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.SerializePrivateWithoutSigning(w, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}), e
}

// signed adds signatures of all formats that have them.
func signed(t *testing.T, b *tasks.Block) (public *openpgp.Entity) {
	t.Helper()
	pgp, apkKey, e := keys(t, "")
	dir := t.TempDir()
	for name, text := range map[string][]byte{"pgp.asc": pgp, "apk.rsa": apkKey} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for format, name := range map[string]string{deb: "pgp.asc", rpm: "pgp.asc", apk: "apk.rsa"} {
		if slices.Contains(b.Strings("format"), format) {
			set(b, "signature."+format+".key_file", filepath.Join(dir, name))
		}
	}
	return e
}

// TestSecrets holds that neither key nor passphrase nor a place is in what is
// hashed or logged, and that the right key is asked for.
func TestSecrets(t *testing.T) {
	pgp, _, e := keys(t, "swordfish")
	env := map[string]string{"KEY": string(pgp), "PASS": "swordfish"}
	b := block(deb, rpm)
	b.Meta.PassEnv, b.Meta.Secrets = env, env
	set(b, "signature.rpm.key_env", "KEY", "signature.rpm.passphrase_env", "PASS")
	s := tasktest.Step(t, task{}, b)
	if len(s.Secrets) > 0 || !slices.Contains(s.Mask, "swordfish") || !slices.Contains(s.Mask, string(pgp)) {
		t.Errorf("secrets %d, masked %d", len(s.Secrets), len(s.Mask))
	}
	l, err := s.Discoverer.Discover(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprintf("%+v %+v %+v", s.Command, l, l.Private)
	for _, secret := range []string{"swordfish", "BEGIN PGP"} {
		if strings.Contains(all, secret) {
			t.Errorf("%q is in %s", secret, all)
		}
	}
	if want := fmt.Sprintf("%X", e.PrimaryKey.Fingerprint); l.Facts[0].Value != want {
		t.Errorf("facts %v, want %s", l.Facts, want)
	}
	if _, log, err := tasktest.RunPrivate(t, Tools(), s, sample(), l.Private); err != nil || !strings.Contains(log, "signed with key "+l.Facts[0].Value) {
		t.Errorf("%v, %s", err, log)
	}
	for want, change := range map[string]map[string]string{
		"the passphrase does not open": {"PASS": "wrong"},
		"needs a passphrase":           {"PASS": ""},
		"is not set":                   {"KEY": ""},
		"read OpenPGP key":             {"KEY": "-----BEGIN PGP nonsense"},
	} {
		changed := maps.Clone(env)
		maps.Copy(changed, change)
		b.Meta.PassEnv = changed
		s := tasktest.Step(t, task{}, b)
		l, err := s.Discoverer.Discover(t.Context(), nil)
		if err == nil {
			_, _, err = tasktest.RunPrivate(t, Tools(), s, sample(), l.Private)
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "swordfish") {
			t.Errorf("%v, want %s", err, want)
		}
	}
	// With a fingerprint nobody needs the key to know what it would sign.
	b.Meta.PassEnv = nil
	set(b, "signature.rpm.fingerprint", strings.Repeat("0", 40))
	if again, err := tasktest.Step(t, task{}, b).Discoverer.Discover(t.Context(), nil); err != nil || again.Facts[0].Value != strings.Repeat("0", 40) {
		t.Errorf("%v, %v", again, err)
	}
	b.Meta.PassEnv = env
	s = tasktest.Step(t, task{}, b)
	if l, err = s.Discoverer.Discover(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := tasktest.RunPrivate(t, Tools(), s, sample(), l.Private); err == nil || !strings.Contains(err.Error(), "is to sign") {
		t.Errorf("another key: %v", err)
	}
}

func TestVersions(t *testing.T) {
	commit := func() string { return "1234567890abcdef1234567890abcdef12345678" }
	for _, tt := range []struct{ version, deb, rpm, apk, arch string }{
		{"1.2.3", "1.2.3", "1.2.3", "1.2.3", "1.2.3"},
		{"v2", "2", "2", "2", "2"},
		{"v1.2.3-rc.1", "1.2.3~rc.1", "1.2.3~rc.1", "1.2.3_rc1", "1.2.3rc.1"},
		{"1.2.3-beta-2+5", "1.2.3~beta.2+5", "1.2.3~beta.2^5", "1.2.3_beta2", "1.2.3beta_2+5"},
		{"1.2.3-20260131", "1.2.3~20260131", "1.2.3~20260131", "1.2.3_pre20260131", "1.2.3pre20260131"},
		{"1.2.3-dev", "1.2.3~dev", "1.2.3~dev", "1.2.3_pre", "1.2.3dev"},
		{"1.2.3-beta-5-gabcdef0", "1.2.3~beta0+5.gabcdef0", "1.2.3~beta^5.gabcdef0", "1.2.3_beta0_p5", "1.2.3beta0+r5.gabcdef0"},
		{"v1.2.3-4-gabcdef0", "1.2.3+4.gabcdef0", "1.2.3^4.gabcdef0", "1.2.3_p4", "1.2.3+r4.gabcdef0"},
		{"v1.2.3-rc.1-4-gabcdef0-dirty", "1.2.3~rc.1+4.gabcdef0.dirty", "1.2.3~rc.1^4.gabcdef0.dirty", "1.2.3_rc1_p4", "1.2.3rc.1+r4.gabcdef0.dirty"},
		{"abcdef012345", "0.0.0+gabcdef012345", "0.0.0^gabcdef012345", "0.0.0", "0.0.0+gabcdef012345"},
		{"1234567", "0.0.0+g1234567", "0.0.0^g1234567", "0.0.0", "0.0.0+g1234567"}, // begins the commit
		{"1234567-dirty", "0.0.0+g1234567.dirty", "0.0.0^g1234567.dirty", "0.0.0", "0.0.0+g1234567.dirty"},
		{"20260131", "20260131", "20260131", "20260131", "20260131"}, // does not
		{"12e4567", "0.0.0+g12e4567", "0.0.0^g12e4567", "0.0.0", "0.0.0+g12e4567"},
		{"v1.2.3+build.7-4-gabcdef0", "1.2.3+build.7.4.gabcdef0", "1.2.3^build.7.4.gabcdef0", "1.2.3_p4", "1.2.3+build.7.r4.gabcdef0"},
		{"v1.0.0-dirty", "1.0.0+0.dirty", "1.0.0^0.dirty", "1.0.0_p0", "1.0.0+r0.dirty"},
	} {
		v, err := parseVersion(tt.version, commit)
		if err != nil {
			t.Errorf("%s: %v", tt.version, err)
			continue
		}
		if got, want := [4]string{v.in(deb), v.in(rpm), v.in(apk), v.in(archlinux)}, [4]string{tt.deb, tt.rpm, tt.apk, tt.arch}; got != want {
			t.Errorf("%s: %q, want %q", tt.version, got, want)
		}
	}
	for _, bad := range []string{"", "latest", "v", "1.2 3", "1.2.3~rc", "-1", "1.2.3-\n"} {
		if v, err := parseVersion(bad, commit); err == nil {
			t.Errorf("%q: %+v", bad, v)
		}
	}
}

func TestCombine(t *testing.T) {
	got, err := combine(postInstall, "#!/bin/bash -e\necho a\nexit 0\n", "units\n")
	if want := "#!/bin/bash -e\nset -e\n(\necho a\nexit 0\n)\nunits\n"; got != want || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, _ := combine(preRemove, "echo a", "units\n"); got != "#!/bin/sh\nset -e\nunits\n(\necho a\n)\n" {
		t.Errorf("%q", got)
	}
	if got, _ := combine(preRemove, "#!/usr/bin/python3\n", ""); got != "#!/usr/bin/python3\n" {
		t.Errorf("%q", got)
	}
	if got, err := combine(preRemove, "#!/usr/bin/python3\n", "units\n"); err == nil {
		t.Errorf("%q", got)
	}
}
