package carry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/bundle/install"
	"github.com/airbuild/airbuild/tasks/golang/goproxy"
)

// GoProxy is where the modules of all imported bundles are, in the form that a
// GOPROXY serves.
func GoProxy(cache string) string { return Carried(cache, "goproxy") }

// Toolchains is where Go itself is unpacked.
func Toolchains(cache string) string { return Carried(cache, "toolchains") }

// A goTree takes modules, proofs and toolchains of one bundle in. They gather in
// a directory of their own; when all are there, every file is verified against
// the proofs, and only then the tree becomes a part of the one that Go is
// pointed at, and toolchains are unpacked.
type goTree struct {
	places *Places
	// bundle is what is imported; nil for a receipt, which only asks.
	bundle *bundle.Bundle

	// incoming is nil for a receipt.
	incoming, proxy *install.DirSink
	mu              sync.Mutex
	merged          bool
}

// goComponents reports whether a component is a part of the tree.
func goComponent(name string) bool {
	kind, _, _ := strings.Cut(name, "/")
	return kind == Modules || kind == SumDB || kind == Toolchain
}

// incomingRoot holds a directory for each bundle whose import is under way, or
// was cut off: what another one left would not verify with this one's proofs.
func (t *goTree) incomingRoot() string { return Carried(t.places.cache, "incoming") }

func (t *goTree) incomingDir() string {
	return filepath.Join(t.incomingRoot(), t.bundle.Digest()[:16])
}

func (t *goTree) sink(string) (install.Sink, error) {
	if t.proxy != nil {
		return t, nil
	}
	var err error
	if t.bundle != nil {
		if t.incoming, err = install.NewDirSink(t.incomingDir(), install.DirOptions{}); err != nil {
			return nil, err
		}
	}
	t.proxy, err = install.NewDirSink(GoProxy(t.places.cache), install.DirOptions{})
	return t, err
}

func (t *goTree) close() error {
	var errs []error
	for _, d := range []*install.DirSink{t.incoming, t.proxy} {
		if d != nil {
			errs = append(errs, d.Close())
		}
	}
	return errors.Join(errs...)
}

func (t *goTree) ID() string              { return "go " + t.places.cache }
func (t *goTree) Dir() string             { return t.places.cache }
func (t *goTree) Late(f bundle.File) bool { return false }

// grows reports whether a file says what there is, so that trees that become
// one do not keep it as it came. Its content is kept in the store.
func grows(p string) bool {
	switch path.Base(p) {
	case "list", "@latest", "latest", goproxy.SumsName:
		return true
	}
	return false
}

// Merges says which files several components may have with other contents.
func (t *goTree) Merges(p string) bool { return grows(p) }

func digests(f bundle.File) []action.Digest { return []action.Digest{f.Digest} }

// Has reads what is there, whatever an earlier import put: a module that was
// damaged since then is mended by importing its bundle again.
func (t *goTree) Has(ctx context.Context, f bundle.File, _ bool) (bool, error) {
	return t.has(ctx, f, false)
}

// has looks at the size alone if what is there is known to be sound.
func (t *goTree) has(ctx context.Context, f bundle.File, sound bool) (bool, error) {
	if grows(f.Path) {
		missing, err := t.places.store.Missing(ctx, digests(f))
		return len(missing) == 0, err
	}
	if t.incoming != nil {
		if ok, err := t.incoming.Has(ctx, f, sound); ok || err != nil {
			return ok, err
		}
	}
	return t.proxy.Has(ctx, f, sound)
}

func (t *goTree) Put(ctx context.Context, f bundle.File, r io.Reader) error {
	if grows(f.Path) {
		return (&contentSink{t.places.store}).Put(ctx, f, r)
	}
	return t.incoming.Put(ctx, f, r)
}

func (t *goTree) Open(ctx context.Context, f bundle.File) (io.ReadCloser, error) {
	if grows(f.Path) {
		return t.places.store.Open(ctx, f.Digest)
	}
	if t.incoming != nil {
		if ok, err := t.incoming.Has(ctx, f, true); err != nil {
			return nil, err
		} else if ok {
			return t.incoming.Open(ctx, f)
		}
	}
	return t.proxy.Open(ctx, f)
}

// Flush is called after each pack. Once everything was put, it verifies the tree
// and makes it a part of the one that Go uses.
func (t *goTree) Flush(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.merged || t.bundle == nil {
		return nil
	}
	whole, err := t.whole(ctx)
	if err != nil {
		return err
	}
	if !whole {
		return flush(t.places.cache)
	}
	if err := t.complete(ctx); err != nil {
		return err
	}
	report, err := t.verify(ctx)
	if err != nil {
		return err
	}
	if err := t.install(ctx, report); err != nil {
		return err
	}
	if err := t.mend(ctx, report); err != nil {
		return err
	}
	if err := goproxy.Merge(ctx, GoProxy(t.places.cache), t.incomingDir()); err != nil {
		if goproxy.IsRefusal(err) {
			err = fmt.Errorf("%w: %w", bundle.ErrRefused, err)
		}
		return err
	}
	if err := flush(t.places.cache); err != nil {
		return err
	}
	// What imports left that were cut off goes too: they begin anew.
	if err := os.RemoveAll(t.incomingRoot()); err != nil {
		return fmt.Errorf("clear %s: %w", t.incomingRoot(), err)
	}
	t.merged = true
	return nil
}

// files are those of the bundle that belong to the tree.
func (t *goTree) files() iter.Seq[bundle.File] {
	return func(yield func(bundle.File) bool) {
		for _, c := range t.bundle.Root().Components {
			if !goComponent(c.Name) {
				continue
			}
			for f := range t.bundle.Files(c.Name) {
				if !yield(f) {
					return
				}
			}
		}
	}
}

// whole reports whether every file of the tree is there. What was put is sound:
// sinks store nothing else. So a look at the size is enough.
func (t *goTree) whole(ctx context.Context) (bool, error) {
	for f := range t.files() {
		if ok, err := t.has(ctx, f, true); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// complete brings to the incoming tree what an earlier bundle brought, so that
// it can be verified as the whole that it was where it was made.
func (t *goTree) complete(ctx context.Context) error {
	for f := range t.files() {
		if ok, err := t.incoming.Has(ctx, f, false); ok || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		if err := t.bring(ctx, f); err != nil {
			return fmt.Errorf("complete modules: %w", err)
		}
	}
	return nil
}

// bring links a file that is never rewritten, and copies any other.
func (t *goTree) bring(ctx context.Context, f bundle.File) error {
	if !grows(f.Path) {
		to := filepath.Join(t.incomingDir(), filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if os.Link(filepath.Join(GoProxy(t.places.cache), filepath.FromSlash(f.Path)), to) == nil {
			return nil
		}
	}
	r, err := t.Open(ctx, f)
	if err != nil {
		return err
	}
	defer r.Close()
	return t.incoming.Put(ctx, f, r)
}

// mend takes files of the tree that Go uses away that were damaged since they
// came: a verified one of the same module is at hand, and both were to have the
// same sum. One that differs for another reason stays, and is refused.
func (t *goTree) mend(ctx context.Context, report *goproxy.Report) error {
	recorded, err := goproxy.TreeSums(GoProxy(t.places.cache))
	if err != nil {
		return fmt.Errorf("complete modules: %w", err)
	}
	for _, m := range report.Modules {
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, part := range []struct{ ext, sum, name string }{
			{"zip", m.Sum, m.Path + " " + m.Version.Version}, {"mod", m.ModSum, m.Path + " " + m.Version.Version + "/go.mod"},
		} {
			if part.sum == "" || m.Evidence != goproxy.ByProof && recorded[part.name] != part.sum {
				continue
			}
			rel, err := goproxy.RelPath(m.Version, part.ext)
			if err != nil {
				return fmt.Errorf("complete modules: %w", err)
			}
			if err := t.dropDamaged(rel); err != nil {
				return fmt.Errorf("complete module %s: %w", m.Version, err)
			}
		}
	}
	return nil
}

// dropDamaged removes a file of the tree that Go uses if it is not the incoming
// one.
func (t *goTree) dropDamaged(rel string) error {
	old := filepath.Join(GoProxy(t.places.cache), filepath.FromSlash(rel))
	have, err := os.Stat(old)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	incoming := filepath.Join(t.incomingDir(), filepath.FromSlash(rel))
	want, err := os.Stat(incoming)
	if err != nil || os.SameFile(have, want) {
		return err
	}
	same, err := sameContent(old, incoming)
	if err != nil || same {
		return err
	}
	return os.Remove(old)
}

// sameContent compares two files.
func sameContent(a, b string) (bool, error) {
	x, err := action.OfFile(os.Open(a))
	if err != nil {
		return false, err
	}
	y, err := action.OfFile(os.Open(b))
	return x == y, err
}

// verify holds the incoming tree against its proofs. A module that nobody
// vouches for is refused.
func (t *goTree) verify(ctx context.Context) (*goproxy.Report, error) {
	report, err := goproxy.Verify(ctx, t.incomingDir(), goproxy.Options{})
	if err != nil {
		if goproxy.IsRefusal(err) {
			err = fmt.Errorf("%w: %w", bundle.ErrRefused, err)
		}
		return nil, err
	}
	for _, m := range report.Modules {
		if m.Evidence == goproxy.Unverified {
			return nil, fmt.Errorf("%w: module %s: neither a proof nor a recorded sum says what it should be", bundle.ErrRefused, m.Version)
		}
	}
	return report, nil
}

// install unpacks the toolchains that run here.
func (t *goTree) install(ctx context.Context, report *goproxy.Report) error {
	for _, tc := range report.Toolchains() {
		if tc.Host != HostName(runtime.GOOS, runtime.GOARCH) {
			continue
		}
		// The bundle was signed, or the user said that it need not be.
		o := goproxy.InstallOptions{TrustRecord: true, Verified: report}
		if _, err := goproxy.InstallToolchain(ctx, t.incomingDir(), tc, Toolchains(t.places.cache), o); err != nil {
			if goproxy.IsRefusal(err) {
				err = fmt.Errorf("%w: %w", bundle.ErrRefused, err)
			}
			return fmt.Errorf("unpack %s: %w", tc, err)
		}
	}
	return nil
}

// goParts are the components of the files of a tree of modules: toolchains and
// proofs apart from modules.
func goParts(files []create.Input) []create.Component {
	by := map[string]*create.Component{}
	var out []create.Component
	for _, f := range files {
		name := goComponentOf(f.Path)
		c := by[name]
		if c == nil {
			c = &create.Component{Name: name}
			by[name] = c
		}
		c.Files = append(c.Files, f)
	}
	for _, c := range by {
		c.Files = sorted(c.Files)
		out = append(out, *c)
	}
	return sortedComponents(out)
}

// goComponentOf is the component that a file of a tree belongs to.
func goComponentOf(p string) string {
	if within(p, goproxy.SumDBName) {
		return SumDB
	}
	if name, ok := strings.CutPrefix(p, "golang.org/toolchain/@v/"); ok {
		stem := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, ".zip"), ".info"), ".mod")
		// v0.0.1-go1.26.8.linux-amd64
		if i := strings.LastIndexByte(stem, '.'); i >= 0 && strings.Count(stem[i+1:], "-") == 1 {
			return Toolchain + "/" + stem[i+1:]
		}
	}
	return Modules
}
