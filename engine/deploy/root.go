package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// ErrBusy is what errors wrap that say that another deploy has the root.
var ErrBusy = errors.New("another deploy is under way")

// A Target is a root and who works on it.
type Target struct {
	Root        string // absolute
	Name        string // the stage; another stage's root is refused
	Environment string // the chosen one, for records; may be empty
	Who         string // for records; empty: Whoami
	// Env is the environment of commands, nil for this process's.
	Env []string
	// Mask are texts that records and the log must not show.
	Mask []string
	Log  io.Writer        // nil: nothing is logged
	Now  func() time.Time // nil: time.Now
	// PointerFiles: files stand for links. Always so on Windows.
	PointerFiles bool
}

// Whoami is the user of this process at this host, and who called sudo.
func Whoami() string {
	name := "unknown"
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	if by := os.Getenv("SUDO_USER"); by != "" && by != name {
		name += " (sudo by " + by + ")"
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}

// A rootDir is the files of a root: its releases and the records about them.
type rootDir struct {
	path     string
	pointers pointers
	state    state
	lock     *flock.Flock
	tmp      string // where releases are put together
}

// A deployment is what one process does with a root. It has the root locked, unless
// it only reads.
type deployment struct {
	Target
	dir *rootDir
}

// open locks the root, made if it is not there, and ends what a crash left
// half done. The caller closes dir.
func open(t Target) (_ *deployment, err error) {
	d, err := openUnlocked(t)
	if err != nil {
		return nil, err
	}
	if err := d.dir.make(); err != nil {
		return nil, err
	}
	if err := d.dir.takeLock(fmt.Sprintf("%s, process %d, since %s", d.Who, os.Getpid(), d.Now().UTC().Format(time.RFC3339))); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			d.dir.close()
		}
	}()
	if err := d.dir.readState(d.Name); err != nil {
		return nil, err
	}
	return d, d.dir.clean()
}

// openUnlocked opens a root for reading.
func openUnlocked(t Target) (*deployment, error) {
	t.Root = filepath.Clean(t.Root)
	if !filepath.IsAbs(t.Root) {
		return nil, fmt.Errorf("open %s: the root of a deploy is an absolute path", t.Root)
	}
	t.Log = cmp.Or(t.Log, io.Discard)
	if t.Now == nil {
		t.Now = time.Now
	}
	if t.Who == "" {
		t.Who = Whoami()
	}
	dir := &rootDir{path: t.Root, pointers: pointers{t.Root, t.PointerFiles || runtime.GOOS == "windows"}}
	dir.tmp = dir.private("tmp")
	return &deployment{Target: t, dir: dir}, nil
}

// readState reads the state of the root of the deploy with the given name.
func (r *rootDir) readState(name string) error {
	known, err := readJSON(r.private("state.json"), &r.state)
	switch {
	case err != nil:
		return err
	case !known:
		r.state = state{Format: formatVersion, Name: name}
	case r.state.Name != name:
		return fmt.Errorf("open %s: it is the root of the deploy %q, not of %q; give each its own root", r.path, r.state.Name, name)
	}
	return nil
}

// clean removes what an interrupted installation left.
func (r *rootDir) clean() error {
	if err := os.RemoveAll(r.tmp); err != nil {
		return err
	}
	return os.Mkdir(r.tmp, 0o755)
}

// make makes the root's directories, and refuses to take over somebody else's.
func (r *rootDir) make() error {
	_, err := os.Lstat(r.private())
	ours := err == nil // and made first, so that a crash below does not matter
	for _, name := range []string{releasesDir, current, blue, green} {
		if _, err := os.Lstat(filepath.Join(r.path, name)); err == nil && !ours {
			return fmt.Errorf("open %s: there is a %q that no deploy of airbuild made; choose another root, or move it away", r.path, name)
		}
	}
	for _, dir := range []string{"", privateDir, releasesDir, privateDir + "/releases", privateDir + "/tmp"} {
		dir = filepath.Join(r.path, filepath.FromSlash(dir))
		err := os.Mkdir(dir, 0o755)
		switch {
		case errors.Is(err, fs.ErrExist):
			continue
		case errors.Is(err, fs.ErrNotExist): // the root's parent
			err = os.MkdirAll(dir, 0o755)
		}
		if err == nil {
			err = os.Chmod(dir, 0o755) // whatever the umask is
		}
		if err != nil {
			return fmt.Errorf("make the root of a deploy: %w", err)
		}
	}
	return nil
}

// lockGrace is how long a lock is waited for before it counts as taken. A
// process that is killed while it starts a program leaves the lock's descriptor
// to that program until it is loaded, which closes it.
const lockGrace = 500 * time.Millisecond

// takeLock locks the root for this process, which holder describes. The system frees the lock of a
// process that dies, so that a lock is never stale.
func (r *rootDir) takeLock(holder string) error {
	r.lock = flock.New(r.private("lock"), flock.SetPermissions(0o644))
	ctx, cancel := context.WithTimeout(context.Background(), lockGrace)
	defer cancel()
	ok, err := r.lock.TryLockContext(ctx, 10*time.Millisecond)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("lock %s: %w", r.path, err)
	}
	if ok {
		return os.WriteFile(r.private("holder"), []byte(holder+"\n"), 0o644)
	}
	by, _ := os.ReadFile(r.private("holder"))
	return fmt.Errorf("lock %s: %w (%s); wait until it is over", r.path, ErrBusy, strings.TrimSpace(string(by)))
}

func (r *rootDir) close() {
	_ = remove(r.private("holder"))
	_ = r.lock.Close() // frees the lock whatever it says
}

// private is the place of a file of our own.
func (r *rootDir) private(elem ...string) string {
	return filepath.Join(append([]string{r.path, privateDir}, elem...)...)
}

func (r *rootDir) journalFile() string { return r.private("journal.json") }

// dir is where a release is.
func (r *rootDir) releaseDir(id string) string { return filepath.Join(r.path, releasesDir, id) }

func (d *deployment) logf(format string, args ...any) {
	fmt.Fprintln(d.Log, d.mask(fmt.Sprintf(format, args...)))
}

// mask takes secrets out of a text.
func (d *deployment) mask(text string) string {
	for _, secret := range d.Mask {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return text
}

func (r *rootDir) saveState() error { return writeJSON(r.private("state.json"), &r.state) }

func (r *rootDir) saveRelease(rel *Release) error {
	return writeJSON(r.private("releases", rel.ID+".json"), rel)
}

// release reads the record of a release that is installed.
func (r *rootDir) release(id string) (*Release, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	var rel Release
	ok, err := readJSON(r.private("releases", id+".json"), &rel)
	if err != nil {
		return nil, err
	}
	if info, serr := os.Stat(r.releaseDir(id)); !ok || serr != nil || !info.IsDir() {
		return nil, fmt.Errorf("release %s is not installed in %s", id, r.path)
	}
	return &rel, nil
}

// releases are all installed releases, the oldest first.
func (r *rootDir) releases() ([]*Release, error) {
	entries, err := os.ReadDir(filepath.Join(r.path, releasesDir))
	if err != nil {
		return nil, err
	}
	var all []*Release
	for _, e := range entries {
		if !e.IsDir() || checkID(e.Name()) != nil {
			continue
		}
		if rel, err := r.release(e.Name()); err == nil {
			all = append(all, rel)
		}
	}
	slices.SortStableFunc(all, func(a, b *Release) int { return a.Installed.Compare(b.Installed) })
	return all, nil
}
