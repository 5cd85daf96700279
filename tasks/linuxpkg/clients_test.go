package linuxpkg

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"

	"github.com/airbuild/airbuild/tasks"
)

// need skips where a program is missing; .ci/run sees to it that none is.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("this host has no %s", p)
		}
	}
	for _, p := range programs {
		if p == "unshare" && exec.Command("unshare", "-rm", "true").Run() != nil {
			t.Skip("this host has no user namespaces")
		}
	}
}

// sh runs a shell script; apart puts it into namespaces of its own, where it
// is root and sees nothing of the host's /run.
func sh(t *testing.T, apart bool, script string, args ...string) (string, error) {
	t.Helper()
	argv := append([]string{"sh", "-euc", script, "sh"}, args...)
	if apart {
		argv = append([]string{"unshare", "-rm"}, argv...)
		argv[4] = "mount -t tmpfs none /run\n" + script
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func must(t *testing.T, apart bool, script string, args ...string) string {
	t.Helper()
	out, err := sh(t, apart, script, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

func one(t *testing.T, b *tasks.Block) string {
	t.Helper()
	dir, s := build(t, b)
	return filepath.Join(dir, s.Command.OutputPaths[0])
}

// TestDpkg installs, verifies, upgrades and removes a package in a root of its
// own.
func TestDpkg(t *testing.T) {
	need(t, "dpkg", "unshare")
	first := one(t, full(deb))
	b := full(deb)
	set(b, "version", "v1.2.4")
	second := one(t, b)
	root := t.TempDir()
	must(t, false, `mkdir -p "$1/var/lib/dpkg/info" "$1/var/lib/dpkg/updates" "$1/var/lib/dpkg/triggers"; : >"$1/var/lib/dpkg/status"`, root)
	dpkg := `dpkg --root="$1" --force-depends --force-script-chrootless --force-not-root --log=/dev/null `
	out := must(t, true, dpkg+`-i "$2"`, root, first)
	if !strings.Contains(out, "post configure") {
		t.Errorf("the script after the installation said nothing:\n%s", out)
	}
	if out := must(t, true, dpkg+`--verify hello`, root); out != "" {
		t.Errorf("dpkg --verify: %s", out)
	}
	must(t, false, `test -x "$1/usr/bin/hello"; test "$(readlink "$1/usr/bin/hi")" = hello; test -d "$1/var/lib/hello"; test -x "$1/usr/share/hello/docs/run.sh"; test -f "$1/usr/share/hello/docs/more/b.md"; test -f "$1/usr/lib/systemd/system/hello.service"; test "$(stat -c %a "$1/etc/hello/hello.conf")" = 640; echo changed >"$1/etc/hello/hello.conf"`, root)
	if out, _ := sh(t, true, dpkg+`--verify hello`, root); !strings.Contains(out, "/etc/hello/hello.conf") {
		t.Errorf("a changed file is not seen: %q", out)
	}
	must(t, true, dpkg+`-i "$2"`, root, second)
	if got := read(t, root, "etc/hello/hello.conf"); string(got) != "changed\n" {
		t.Errorf("the upgrade replaced the configuration: %q", got)
	}
	must(t, true, dpkg+`-r hello`, root)
	must(t, false, `test ! -e "$1/usr/bin/hello"; test -e "$1/etc/hello/hello.conf"`, root)
	must(t, true, dpkg+`-P hello`, root)
	must(t, false, `test ! -e "$1/etc/hello"`, root)
}

func TestLintian(t *testing.T) {
	if testing.Short() {
		t.Skip("runs lintian on many packages")
	}
	need(t, "lintian")
	for _, changelog := range []bool{false, true} {
		b := full(deb)
		if changelog {
			set(b, "changelog", []tasks.PathValue{{Path: "changes.yml"}}, "release", "1")
		}
		out := must(t, false, `lintian --allow-root --fail-on error "$1"`, one(t, b))
		t.Log(out)
	}
}

func TestDebSignature(t *testing.T) {
	need(t, "ar", "gpgv")
	b := full(deb)
	public := signed(t, b)
	pkg := one(t, b)
	dir := t.TempDir()
	writeKey(t, filepath.Join(dir, "key.gpg"), public, false)
	must(t, false, `cd "$2"; ar x "$1"; cat debian-binary control.tar.gz data.tar.* >all; gpgv --keyring ./key.gpg _gpgorigin all`, pkg, dir)
}

func writeKey(t *testing.T, name string, e *openpgp.Entity, armored bool) {
	t.Helper()
	var out bytes.Buffer
	var w io.Writer = &out
	var err error
	if armored {
		if w, err = armor.Encode(&out, openpgp.PublicKeyType, nil); err != nil {
			t.Fatal(err)
		}
	}
	err = e.Serialize(w)
	if c, ok := w.(io.Closer); ok {
		err = errors.Join(err, c.Close())
	}
	if err := errors.Join(err, os.WriteFile(name, out.Bytes(), 0o666)); err != nil {
		t.Fatal(err)
	}
}

// TestRPM checks digests and signature, installs, verifies and removes.
func TestRPM(t *testing.T) {
	need(t, "rpm", "unshare")
	b := full(rpm)
	set(b, "changelog", []tasks.PathValue{{Path: "changes.yml"}}, "depends", []string{"glibc >= 2.17"}, "epoch", 2)
	public := signed(t, b)
	pkg := one(t, b)
	root := t.TempDir()
	writeKey(t, filepath.Join(root, "key.asc"), public, true)
	out := must(t, true, `rpm --root "$1" --initdb; rpm --root "$1" --import "$1/key.asc"; rpm --root "$1" -Kv "$2"`, root, pkg)
	if strings.Contains(out, "BAD") || strings.Count(out, "Signature") < 1 || !strings.Contains(out, "Payload SHA256 digest: OK") {
		t.Errorf("rpm -K: %s", out)
	}
	query := must(t, false, `rpm -qp --nosignature --qf '%{NAME} %{EPOCHNUM} %{VERSION} %{RELEASE} %{ARCH} %{BUILDTIME} %{BUILDHOST} %{LICENSE}\n' "$1"; rpm -qpl --nosignature "$1"; rpm -qpc --nosignature "$1"; rpm -qp --nosignature --requires "$1"; rpm -qp --nosignature --changelog "$1"; rpm -qp --nosignature --licensefiles "$1"`, pkg)
	for _, want := range []string{"hello 2 1.2.3 1 x86_64 1700000000 localhost MIT\n", "/usr/bin/hello\n", "/etc/hello/hello.conf\n", "glibc >= 2.17\n", "Bob <bob@example.com> - 1.2.3", "- Begin", "/usr/share/licenses/hello/LICENSE\n"} {
		if !strings.Contains(query, want) {
			t.Errorf("rpm -qp lacks %q:\n%s", want, query)
		}
	}
	must(t, true, `rpm --root "$1" -i --nodeps --noscripts "$2"; rpm --root "$1" -V --nodeps --noscripts hello; test -x "$1/usr/bin/hello"; rpm --root "$1" -e --noscripts hello; test ! -e "$1/usr/bin/hello"`, root, pkg)
	b = full(rpm)
	b.Values["postinstall"] = tasks.Value{}
	delete(b.Values, "postinstall")
	must(t, false, `for tag in POSTIN PREUN POSTUN; do rpm -qp --nosignature --qf "%{$tag}" "$1" | sh -n; done; rpm -qp --nosignature --qf "%{POSTIN}" "$1" | sh -s 1`, one(t, b))
}

// TestPacman reads a package with pacman and installs it.
func TestPacman(t *testing.T) {
	need(t, "pacman", "bsdtar", "bash", "unshare")
	pkg := one(t, full(archlinux))
	root := t.TempDir()
	must(t, false, `mkdir -p "$1/var/lib/pacman" "$1/etc" "$1/tmp"; printf '[options]\nArchitecture = x86_64\nSigLevel = Never\nLocalFileSigLevel = Never\n' >"$1/etc/pacman.conf"`, root)
	out := must(t, true, `pacman --config "$1/etc/pacman.conf" --root "$1" --dbpath "$1/var/lib/pacman" -Qip "$2"; bsdtar -xOf "$2" .INSTALL | bash -n; bsdtar -xOf "$2" .MTREE | gzip -d | head -n 1`, root, pkg)
	for _, want := range []string{"hello", "1.2.3-1", "x86_64", "#mtree"} {
		if !strings.Contains(out, want) {
			t.Errorf("pacman lacks %q: %s", want, out)
		}
	}
	pacman := `pacman --config "$1/etc/pacman.conf" --root "$1" --dbpath "$1/var/lib/pacman" --logfile /dev/null --cachedir "$1/tmp" --hookdir "$1/tmp" --gpgdir "$1/tmp" --noconfirm `
	must(t, true, pacman+`--noscriptlet -U "$2"; `+pacman+`-Qkk hello`, root, pkg)
	must(t, true, `test -x "$1/usr/bin/hello"; `+pacman+`--noscriptlet -R hello; test ! -e "$1/usr/bin/hello"`, root)
}

// TestAPK reads a package as apk-tools 2 does: the signature is over the
// control part, which holds the digest of the data part, which holds the
// digest of every file.
func TestAPK(t *testing.T) {
	b := full(apk)
	signed(t, b)
	content := read(t, one(t, b))
	parts := members(t, content)
	if len(parts) != 3 {
		t.Fatalf("%d parts, want signature, control and data", len(parts))
	}
	key, err := openRSA(read(t, b.String("signature.apk.key_file")), "")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha1.Sum(parts[1])
	sig := entries(t, parts[0])
	if err := rsa.VerifyPKCS1v15(&key.key.PublicKey, crypto.SHA1, sum[:], []byte(sig[".SIGN.RSA.ann@example.com.rsa.pub"])); err != nil {
		t.Errorf("signature: %v (%d files)", err, len(sig))
	}
	control := entries(t, parts[1])
	info := control[".PKGINFO"]
	for _, want := range []string{"pkgname = hello\n", "pkgver = 1.2.3-r0\n", "arch = x86_64\n", "license = MIT\n", fmt.Sprintf("datahash = %x\n", sha256.Sum256(parts[2]))} {
		if !strings.Contains(info, want) {
			t.Errorf(".PKGINFO lacks %q:\n%s", want, info)
		}
	}
	if !strings.Contains(control[".post-install"], "post $1") || strings.Contains(control[".post-install"], "systemctl") {
		t.Errorf("script %q", control[".post-install"])
	}
	data := entries(t, parts[2])
	if data["usr/share/hello/docs/a.md"] != "a\n" || data["usr/share/doc/hello/a.md"] != "a\n" || data["usr/lib/systemd/system/hello.service"] != "" {
		t.Errorf("%d files", len(data))
	}
	if !regexp.MustCompile(`^[a-z]`).MatchString(info) {
		t.Error(".PKGINFO begins with something else")
	}
}

// members splits concatenated gzip files.
func members(t *testing.T, content []byte) (parts [][]byte) {
	t.Helper()
	r := bytes.NewReader(content)
	for r.Len() > 0 {
		start := len(content) - r.Len()
		b := bufio.NewReaderSize(&oneByte{r}, 16)
		z, err := gzip.NewReader(b)
		if err != nil {
			t.Fatal(err)
		}
		z.Multistream(false)
		if _, err := io.Copy(io.Discard, z); err != nil {
			t.Fatal(err)
		}
		end := len(content) - r.Len() - b.Buffered()
		if _, err := r.Seek(int64(end), io.SeekStart); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, content[start:end])
	}
	return parts
}

// A oneByte keeps a buffered reader from reading ahead.
type oneByte struct{ io.Reader }

// entries are the files of a part by name. Each is checked against the digest
// in its header, if it has one, and its time.
func entries(t *testing.T, part []byte) map[string]string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(part))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha1.Sum(b)
		if want := h.PAXRecords["APK-TOOLS.checksum.SHA1"]; want != "" && want != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: digest %s", h.Name, want)
		}
		if s := h.ModTime.Unix(); s != 1700000000 && s > 0 {
			t.Errorf("%s: time %v", h.Name, h.ModTime)
		}
		all[strings.TrimSuffix(h.Name, "/")] = string(b)
	}
}
