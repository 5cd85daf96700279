package bundle_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/bundle/install"
	"github.com/airbuild/airbuild/engine/bundle/internal/bundletest"
	"github.com/airbuild/airbuild/engine/bundle/internal/files"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/sign"
)

// A forgery is a bundle made by hand. It is signed by a key that is trusted,
// so that every row is refused for its own reason.
type forgery struct {
	t        testing.TB
	dir      string
	key      *sign.SecretKey
	raw      []byte // of the only pack
	x        *format.Index
	pack     []byte
	indexRaw []byte
	stored   []byte // index blob
	root     *bundle.Root
	rootRaw  []byte
	payload  []byte // that is signed
	typ      string
	manifest []byte
	listing  []byte
	sinks    bool // it is the sinks' work to refuse it
}

// newForgery has one component "source" with the files a and b.
func newForgery(t testing.TB) *forgery {
	f := &forgery{t: t, dir: t.TempDir(), key: bundletest.Key(t, 7), raw: []byte("alphabeta")}
	f.x = &format.Index{
		Contents:   []format.Content{{Digest: action.Of([]byte("alpha"))}, {Digest: action.Of([]byte("beta"))}},
		Components: []format.Component{{Name: "source", Files: []bundle.File{{Path: "a"}, {Path: "b", Content: 1}}}},
	}
	f.block(f.raw, format.BlockStored, len(f.raw))
	return f
}

// block makes the only block of the pack.
func (f *forgery) block(stored []byte, method byte, raw int) {
	f.x.Blocks = []format.Block{{Sum: sha256.Sum256(stored), Stored: len(stored), Raw: raw, Method: method}}
	f.x.Packs = []int64{int64(len(format.PackHeader) + len(stored))}
	f.pack = append([]byte(format.PackHeader), stored...)
}

func compress(b []byte) []byte {
	e, err := zstd.NewWriter(nil, zstd.WithSingleSegment(true))
	if err != nil {
		panic(err)
	}
	return e.EncodeAll(b, nil)
}

// finish makes what was not made by hand.
func (f *forgery) finish() {
	if f.indexRaw == nil {
		f.indexRaw = f.x.Encode()
	}
	if f.stored == nil {
		f.stored = compress(f.indexRaw)
	}
	if f.root == nil {
		f.root = f.newRoot()
	}
	if f.rootRaw == nil {
		f.rootRaw = bundletest.Must(format.EncodeCanonical(f.root))
	}
	if f.payload == nil {
		f.payload = f.rootRaw
	}
	if f.typ == "" {
		f.typ = format.RootType
	}
}

// newRoot is a root that fits what there is.
func (f *forgery) newRoot() *bundle.Root {
	r := &bundle.Root{Format: 1, Name: "forged", Sequence: 1, Created: "2026-01-01T00:00:00Z", Metadata: map[string]string{}, Parents: []string{}, Files: []bundle.RootBlob{}}
	r.Features.Critical, r.Features.Optional = []string{}, map[string]string{}
	r.Packs = []bundle.RootBlob{format.BlobOf(action.Of(f.pack))}
	r.Index = bundle.RootIndex{RootBlob: format.BlobOf(action.Of(f.stored)), Raw: int64(len(f.indexRaw))}
	for _, p := range f.x.Components {
		c := bundle.RootComponent{Name: p.Name, Files: len(p.Files), Metadata: map[string]string{}}
		for _, x := range p.Files {
			if x.Content < len(f.x.Contents) {
				c.Bytes += f.x.Contents[x.Content].Digest.Size
			}
		}
		c.Carried = c.Bytes
		r.Components = append(r.Components, c)
	}
	return r
}

func (f *forgery) write() {
	f.t.Helper()
	f.finish()
	blobs := filepath.Join(f.dir, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o777); err != nil {
		f.t.Fatal(err)
	}
	e, err := sign.NewEnvelope(f.typ, f.payload, f.key)
	if err != nil {
		f.t.Fatal(err)
	}
	envelope := bundletest.Must(e.Encode())
	manifest, listing, err := format.EncodeManifest(f.root, action.Of(f.rootRaw), []action.Digest{action.Of(envelope)})
	if err != nil {
		f.t.Fatal(err)
	}
	if f.manifest == nil {
		f.manifest = manifest
	}
	if f.listing == nil {
		f.listing = listing
	}
	for _, b := range [][]byte{f.pack, f.stored, f.rootRaw, envelope, f.manifest} {
		if err := files.WriteBytes(blobs, action.Of(b).Hex(), b); err != nil {
			f.t.Fatal(err)
		}
	}
	if err := files.WriteBytes(f.dir, "index.json", f.listing); err != nil {
		f.t.Fatal(err)
	}
	if err := files.WriteBytes(f.dir, "oci-layout", []byte(format.LayoutFile)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *forgery) blobFile(b []byte) string {
	return filepath.Join(f.dir, filepath.FromSlash(format.BlobPath(action.Of(b))))
}

// try opens, verifies and imports, and returns the first refusal.
func (f *forgery) try(h *bundletest.Host) error {
	b, err := bundle.Open(f.t.Context(), bundle.Trust{Keys: []sign.PublicKey{f.key.Public()}}, f.dir)
	if err != nil {
		return err
	}
	defer b.Close()
	_, err = h.TryImport(b)
	if err == nil {
		return nil
	}
	// What import refuses a thorough verification notices as well, unless it
	// hangs on where the files go.
	r, verifyErr := b.Verify(f.t.Context(), bundle.VerifyOptions{Deep: true})
	if (verifyErr != nil || r.OK()) && !f.sinks {
		f.t.Errorf("verify has nothing against it: %v", verifyErr)
	}
	return err
}

func TestForgeryIsSoundBefore(t *testing.T) {
	t.Parallel()
	f, h := newForgery(t), bundletest.NewHost(t)
	f.write()
	if err := f.try(h); err != nil {
		t.Fatal(err)
	}
	h.Check(bundletest.Tree{"source": {"a": "alpha", "b": "beta"}})
}

// paths makes the first file's path.
func withPaths(list ...string) func(*forgery) {
	return func(f *forgery) {
		files := make([]bundle.File, len(list))
		for i, p := range list {
			files[i] = bundle.File{Path: p, Content: i}
		}
		f.x.Components[0].Files = files
	}
}

func withRoot(change func(*bundle.Root)) func(*forgery) {
	return func(f *forgery) {
		f.indexRaw = f.x.Encode()
		f.stored = compress(f.indexRaw)
		f.root = f.newRoot()
		change(f.root)
	}
}

// heldText is what a host of these tests has.
const heldText = "what is here already"

// withPatch adds a file "c" that "beta" is to make of a base.
func withPatch(change func(*forgery)) func(*forgery) {
	return func(f *forgery) {
		f.x.Contents = append(f.x.Contents,
			format.Content{Kind: format.ContentBase, Digest: action.Of([]byte("base"))},
			format.Content{Kind: format.ContentPatched, Digest: action.Of([]byte("made of the base")), Base: 2, Patch: 1})
		f.x.Components[0].Files = append(f.x.Components[0].Files, bundle.File{Path: "c", Content: 3})
		change(f)
		if f.root == nil {
			withRoot(func(r *bundle.Root) { r.Features.Critical = []string{format.FeaturePatches} })(f)
		}
		c := &f.x.Contents[3]
		f.root.Base = &bundle.RootBase{Bundles: []string{strings.Repeat("0", 64)}, Contents: 1, Bytes: f.x.Contents[2].Digest.Size}
		if c.Patch < len(f.x.Contents) {
			total := &f.root.Components[0]
			total.Carried += f.x.Contents[c.Patch].Digest.Size - c.Digest.Size
		}
	}
}

func uvarint(list ...uint64) []byte {
	var b []byte
	for _, n := range list {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

var hostile = []struct {
	name string
	make func(*forgery)
	want string
}{
	{"traversal", withPaths("../a", "b"), "element .."},
	{"traversal inside", withPaths("a/../../b", "b"), "element .."},
	{"absolute", withPaths("/etc/passwd", "b"), "absolute"},
	{"drive", withPaths("C:a", "b"), "character ':'"},
	{"backslash", withPaths(`..\a`, "b"), `character '\\'`},
	{"stream", withPaths("a:b", "b"), "character ':'"},
	{"dot", withPaths("./a", "b"), "element ."},
	{"empty element", withPaths("a//b", "b"), "empty element"},
	{"trailing slash", withPaths("a/", "b"), "empty element"},
	{"empty", withPaths("", "b"), "empty"},
	{"NUL byte", withPaths("a\x00b", "b"), "control character"},
	{"escape", withPaths("a\x1b[2J", "b"), "control character"},
	{"no UTF-8", withPaths("a\xff", "b"), "UTF-8"},
	{"device", withPaths("NUL", "b"), "device of Windows"},
	{"device with extension", withPaths("aux.tar.gz", "b"), "device of Windows"},
	{"device with number", withPaths("LPT9.x", "b"), "device of Windows"},
	{"device with superscript", withPaths("com¹", "d"), "device of Windows"},
	{"trailing dot", withPaths("a.", "b"), "Windows drops"},
	{"trailing blank", withPaths("a ", "b"), "Windows drops"},
	{"long element", withPaths(strings.Repeat("a", 256), "b"), "256 bytes"},
	{"long path", withPaths(strings.Repeat("a/", 512)+"a", "b"), "1024 are allowed"},
	{"twice", withPaths("a", "a"), "occurs twice"},
	{"case", withPaths("README", "readme"), "nothing but case"},
	{"case of letters beyond ASCII", withPaths("GRÖßE", "größe"), "nothing but case"},
	{"form", withPaths("a\u0308", "ä"), "nothing but case or form"},
	{"case of directories", withPaths("A/x", "a/y"), "nothing but case"},
	{"file as directory", withPaths("a", "a/b"), "is a file"},
	{"file as directory in other case", withPaths("A", "a/b"), "is a file"},
	{"a million directories", func(f *forgery) {
		f.x.Components[0].Files = nil
		for i := range 3000 {
			f.x.Components[0].Files = append(f.x.Components[0].Files, bundle.File{Path: uintText(10000+i) + strings.Repeat("/a", 400), Content: i % 2})
		}
	}, "directories"},
	{"two components, one path", func(f *forgery) {
		f.sinks = true
		f.x.Components = []format.Component{{Name: "modules", Files: []bundle.File{{Path: "a"}}}, {Name: "sumdb", Files: []bundle.File{{Path: "a", Content: 1}}}}
	}, "another component"},
	{"result without its blobs", func(f *forgery) {
		f.sinks = true
		files := map[string]string{}
		bundletest.AddResult(files, "out", "gone")
		for p, text := range files {
			if strings.HasPrefix(p, "ac/") {
				f.x.Components = []format.Component{{Name: "actions", Files: []bundle.File{{Path: p}}}}
				f.x.Contents = []format.Content{{Digest: action.Of([]byte(text))}}
				f.block([]byte(text), format.BlockStored, len(text))
			}
		}
	}, "not carried"},
	{"result under a blob's name", func(f *forgery) {
		f.sinks = true
		f.x.Components = []format.Component{{Name: "actions", Files: []bundle.File{{Path: "cas/" + strings.Repeat("a", 64)}, {Path: "cas/" + strings.Repeat("b", 64), Content: 1}}}}
	}, "neither a blob"},
	{"order", withPaths("b", "a"), "out of order"},
	{"setuid", func(f *forgery) {
		b := f.x.Encode()
		at := bytes.LastIndex(b, []byte("\x01b")) + 2
		b[at] = 4 | format.FlagExecutable
		f.indexRaw = b
	}, "unknown flags"},
	{"content that is not there", func(f *forgery) { f.x.Components[0].Files[1].Content = 2 }, "content 2 of 2"},
	{"content that no file has", func(f *forgery) { f.x.Components[0].Files[1].Content = 0 }, "no file has"},
	{"content twice", func(f *forgery) { f.x.Contents[1].Digest.Hash = f.x.Contents[0].Digest.Hash }, "twice"},
	{"component outside", func(f *forgery) { f.x.Components[0].Name = "extra/../.." }, `component "extra/../.."`},
	{"component unknown", func(f *forgery) { f.x.Components[0].Name = "bin" }, `component "bin"`},
	{"component twice", func(f *forgery) {
		f.x.Components = append(f.x.Components, f.x.Components[0])
	}, "twice"},
	{"content of wrong digest", func(f *forgery) { f.x.Contents[1].Digest = action.Of([]byte("bete")) }, "not what its digest"},
	{"huge content", func(f *forgery) { f.x.Contents[1].Digest.Size = 1 << 40 }, "more bytes than its blocks"},
	{"overflowing content", func(f *forgery) {
		f.x.Contents[0].Digest.Size, f.x.Contents[1].Digest.Size = 1<<51, 1<<51
	}, "are allowed"},
	{"huge block", func(f *forgery) { f.x.Blocks[0].Raw = 1 << 30 }, "are allowed"},
	{"bomb", func(f *forgery) {
		f.block(compress(make([]byte, 8<<20)), format.BlockZstd, 1<<20)
		f.x.Contents[0].Digest.Size = 1<<20 - 4
	}, "does not have the size"},
	{"bomb that lies", func(f *forgery) {
		b := compress(make([]byte, 1<<20))
		i := bytes.Index(b, []byte{0, 0, 0x10, 0}) // the frame's size, little endian
		if i < 0 {
			f.t.Fatal("no size in the frame")
		}
		b[i+2] = 0x08
		f.block(b, format.BlockZstd, 1<<19)
		f.x.Contents[0].Digest.Size = 1<<19 - 4
	}, "decompress"},
	{"frames behind the frame", func(f *forgery) {
		b := append(compress(make([]byte, 4096)), compress(make([]byte, 4<<20))...)
		f.block(b, format.BlockZstd, 4096)
		f.x.Contents[0].Digest.Size = 4096 - 4
	}, "should have"},
	{"no frame", func(f *forgery) {
		f.block([]byte("alphabet"), format.BlockZstd, 9)
	}, "not compressed"},
	{"block larger stored than raw", func(f *forgery) { f.x.Blocks[0].Method = format.BlockZstd }, "stored as"},
	{"block of another sum", func(f *forgery) { f.x.Blocks[0].Sum[0] ^= 1 }, "not those that were signed"},
	{"block of an unknown method", func(f *forgery) { f.x.Blocks[0].Method = 9 }, "unknown method"},
	{"empty block", func(f *forgery) { f.x.Blocks[0].Stored = 0; f.x.Blocks[0].Raw = 0 }, "empty block"},
	{"header of another version", func(f *forgery) { f.pack = []byte(strings.Replace(string(f.pack), "pack-1", "pack-2", 1)) }, ""},
	{"index of millions of blocks", func(f *forgery) {
		f.indexRaw = append([]byte(format.IndexMagic), uvarint(1<<29)...)
	}, "cut off"},
	{"index of millions of files", func(f *forgery) {
		b := f.x.Encode()
		f.indexRaw = append(b[:bytes.LastIndex(b, []byte("\x06source"))+7], uvarint(1<<20)...)
	}, "cut off"},
	{"index with long numbers", func(f *forgery) {
		f.indexRaw = append([]byte(format.IndexMagic), 0x81, 0x80, 0x00)
	}, "shortest form"},
	{"index with more behind it", func(f *forgery) { f.indexRaw = append(f.x.Encode(), 0) }, "trailing bytes"},
	{"index of another version", func(f *forgery) {
		f.indexRaw = []byte(strings.Replace(string(f.x.Encode()), "index-1", "index-2", 1))
	}, "begins with"},
	{"index that is a bomb", func(f *forgery) {
		f.indexRaw = f.x.Encode()
		f.stored = compress(make([]byte, 64<<20))
	}, "does not have the size"},
	{"index of a terabyte", withRoot(func(r *bundle.Root) { r.Index.Raw = 1 << 40 }), "are allowed"},
	{"index cut off", func(f *forgery) { b := f.x.Encode(); f.indexRaw = b[:len(b)-1] }, "cut off"},
	{"root of another format", withRoot(func(r *bundle.Root) { r.Format = 2 }), "format 2"},
	{"critical feature", withRoot(func(r *bundle.Root) { r.Features.Critical = []string{"teleport"} }), "teleport"},
	{"critical features in disorder", withRoot(func(r *bundle.Root) { r.Features.Critical = []string{format.FeaturePatches, format.FeaturePatches} }), "out of order or named twice"},
	{"patches promised", withRoot(func(r *bundle.Root) { r.Features.Critical = []string{format.FeaturePatches} }), "disagree"},
	{"patches not promised", withPatch(func(f *forgery) { withRoot(func(r *bundle.Root) { r.Features.Critical = []string{} })(f) }), "disagree"},
	{"patch of a base that is not here", withPatch(func(f *forgery) { f.sinks = true }), "are not here"},
	{"patch without a base", withPatch(func(f *forgery) { f.x.Contents[3].Base = 0 }), "not of the base"},
	{"patch of itself", withPatch(func(f *forgery) { f.x.Contents[3].Base = 3 }), "not of the base"},
	{"patch that is of the base", withPatch(func(f *forgery) { f.x.Contents[3].Patch = 2 }), "not packed"},
	{"patch that is not there", withPatch(func(f *forgery) { f.x.Contents[3].Patch = 9 }), "not packed"},
	{"patch of a huge base", withPatch(func(f *forgery) { f.x.Contents[2].Digest.Size = format.MaxPatchBase + 1 }), "are allowed"},
	{"patch that is no smaller", withPatch(func(f *forgery) { f.x.Contents[3].Digest.Size = 4 }), "not smaller"},
	{"root with a null list", withRoot(func(r *bundle.Root) { r.Parents = nil }), "null"},
	{"root with a negative size", withRoot(func(r *bundle.Root) { r.Packs[0].Size = -1 }), "size of -1"},
	{"root with a huge size", withRoot(func(r *bundle.Root) { r.Packs[0].Size = 1 << 50 }), "are allowed"},
	{"root with a blob twice", withRoot(func(r *bundle.Root) { r.Packs = append(r.Packs, r.Packs[0]) }), "twice"},
	{"root with another hash", withRoot(func(r *bundle.Root) { r.Packs[0].Digest = "md5:d41d8cd98f00b204e9800998ecf8427e" }), "SHA-256"},
	{"root with an upper-case digest", withRoot(func(r *bundle.Root) { r.Packs[0].Digest = "sha256:" + strings.Repeat("A", 64) }), "lower-case"},
	{"root with a path in a digest", withRoot(func(r *bundle.Root) { r.Packs[0].Digest = "sha256:../../../../../etc/passwd" }), "hexadecimal"},
	{"root with a bad name", withRoot(func(r *bundle.Root) { r.Name = "../x" }), "name"},
	{"root with a bad time", withRoot(func(r *bundle.Root) { r.Created = "yesterday" }), "RFC 3339"},
	{"root with a negative sequence", withRoot(func(r *bundle.Root) { r.Sequence = -1 }), "negative"},
	{"root without components", withRoot(func(r *bundle.Root) { r.Components = []bundle.RootComponent{} }), "0 components"},
	{"root with other counts", withRoot(func(r *bundle.Root) { r.Components[0].Files = 3 }), "not what the root manifest says"},
	{"root with a base that is not there", withRoot(func(r *bundle.Root) { r.Base = &bundle.RootBase{Bundles: []string{}, Contents: 1} }), "leaves 0 contents"},
	{"content left out without a base", func(f *forgery) {
		f.x.Contents[1].Kind = format.ContentBase
		f.block([]byte("alpha"), format.BlockStored, 5)
	}, "names no base"},
	{"root with a pack of another size", withRoot(func(r *bundle.Root) { r.Packs[0].Size++ }), "by the root manifest"},
	{"root with a file that the index has not", withRoot(func(r *bundle.Root) { r.Files = append(r.Files, format.BlobOf(action.Of([]byte("x")))) }), "blobs of their own"},
	{"root with white space", func(f *forgery) { f.finish(); f.rootRaw = append(f.rootRaw, ' '); f.payload = nil }, "canonical"},
	{"root with a key twice", func(f *forgery) {
		f.finish()
		f.rootRaw = []byte(strings.Replace(string(f.rootRaw), `"name":`, `"name":"x","name":`, 1))
		f.payload = nil
	}, "canonical"},
	{"root with an unknown key", func(f *forgery) {
		f.finish()
		f.rootRaw = []byte(strings.Replace(string(f.rootRaw), `"name":`, `"mane":"x","name":`, 1))
		f.payload = nil
	}, "unknown field"},
	{"root with a fraction", func(f *forgery) {
		f.finish()
		f.rootRaw = []byte(strings.Replace(string(f.rootRaw), `"sequence":1`, `"sequence":1.0`, 1))
		f.payload = nil
	}, "root manifest"},
	{"root that is nothing", func(f *forgery) { f.finish(); f.rootRaw = []byte("\x00"); f.payload = nil }, "root manifest"},
	{"deeply nested root", func(f *forgery) {
		f.finish()
		f.rootRaw = []byte(strings.Repeat("[", 1<<20))
		f.payload = nil
	}, "root manifest"},
	{"signature over other bytes", func(f *forgery) { f.payload = []byte("{}") }, "over other bytes"},
	{"signature of another type", func(f *forgery) { f.typ = "application/vnd.in-toto+json" }, "over other bytes"},
	{"OCI manifest that is nothing", func(f *forgery) { f.manifest = []byte("[]"); f.list(f.manifest) }, "OCI manifest"},
	{"OCI manifest of something else", func(f *forgery) { f.manifest = []byte(`{"config":{}}`); f.list(f.manifest) }, "no bundle of airbuild"},
	{"OCI manifest with a huge root", func(f *forgery) {
		f.manifest = []byte(`{"config":{"mediaType":"` + format.RootType + `","digest":"sha256:` + strings.Repeat("a", 64) + `","size":1000000000}}`)
		f.list(f.manifest)
	}, "are allowed"},
	{"index.json that is huge", func(f *forgery) { f.listing = bytes.Repeat([]byte(" "), format.MaxOCI+1) }, "more than"},
	{"index.json that is nothing", func(f *forgery) { f.listing = []byte("x") }, "index.json"},
	{"index.json of nothing", func(f *forgery) { f.listing = []byte("{}") }, "no bundle"},
	{"index.json with a path", func(f *forgery) {
		f.listing = []byte(`{"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:../../x","size":1}]}`)
	}, "hexadecimal"},
}

// list makes an index.json that names the manifest.
func (f *forgery) list(manifest []byte) {
	f.listing = []byte(`{"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + format.BlobOf(action.Of(manifest)).Digest + `","size":` + uintText(len(manifest)) + `}]}`)
}

func uintText(n int) string { return string(bundletest.Must(format.EncodeCanonical(n))) }

func TestHostile(t *testing.T) {
	if testing.Short() {
		t.Skip("imports many bundles")
	}
	for _, row := range hostile {
		t.Run(row.name, func(t *testing.T) {
			f, h := newForgery(t), bundletest.NewHost(t)
			row.make(f)
			f.write()
			if row.name == "header of another version" {
				// Import need not look at it: no file depends on it.
				b := bundletest.Open(t, bundle.Trust{Keys: []sign.PublicKey{f.key.Public()}}, f.dir)
				h.Imports(b)
				return
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := f.try(h)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, bundle.ErrRefused) || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v", err)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 256<<20 {
				t.Errorf("it took %d MiB of memory", used>>20)
			}
			h.Untouched()
		})
	}
}

// Patches by a trusted key that are none are refused where their base is here.
func TestHostilePatchOfHeldBase(t *testing.T) {
	t.Parallel()
	h, x := bundletest.NewHost(t), bundletest.Tree{"actions": {}}
	bundletest.AddResult(x["actions"], "held", heldText)
	h.Imports(bundletest.OfSpec(t, x.Spec(1)))
	f := newForgery(t)
	f.sinks = true // verify has no base to see what comes of it
	withPatch(func(f *forgery) { f.x.Contents[2].Digest = action.Of([]byte(heldText)) })(f)
	f.write()
	if err := f.try(h); !errors.Is(err, bundle.ErrRefused) || !strings.Contains(err.Error(), "patch begins with") && !strings.Contains(err.Error(), "patch is cut off") {
		t.Errorf("%v", err)
	}
	for name := range bundletest.ReadTree(t, filepath.Dir(h.Cache)) {
		if name == "work/source/c" {
			t.Errorf("%s was written", name)
		}
	}
	if list, err := install.List(h.Cache); err != nil || len(list) != 1 {
		t.Errorf("published: %v, %v", list, err)
	}
}

// TestHostileLayout has what only the file system can do.
func TestHostileLayout(t *testing.T) {
	rows := []struct {
		name string
		make func(f *forgery) error
		want string
	}{
		{"pack cut off", func(f *forgery) error { return os.Truncate(f.blobFile(f.pack), 30) }, "cut off"},
		{"pack too long", func(f *forgery) error { return os.WriteFile(f.blobFile(f.pack), append(f.pack, 0), 0o666) }, "bytes instead of"},
		{"pack missing", func(f *forgery) error { return os.Remove(f.blobFile(f.pack)) }, "missing"},
		{"pack is a link", func(f *forgery) error { return linkAway(f.blobFile(f.pack)) }, "not a regular file"},
		{"index is a link", func(f *forgery) error { return linkAway(f.blobFile(f.stored)) }, "not a regular file"},
		{"index.json is a link", func(f *forgery) error { return linkAway(filepath.Join(f.dir, "index.json")) }, "not a regular file"},
		{"blobs is a link", func(f *forgery) error { return linkAway(filepath.Join(f.dir, "blobs")) }, "not a regular file"},
		{"pack is a directory", func(f *forgery) error {
			return errors.Join(os.Remove(f.blobFile(f.pack)), os.Mkdir(f.blobFile(f.pack), 0o777))
		}, "not a regular file"},
		{"root changed", func(f *forgery) error {
			return os.WriteFile(f.blobFile(f.rootRaw), []byte(strings.Replace(string(f.rootRaw), "forged", "farged", 1)), 0o666)
		}, "not those that its digest names"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			f, h := newForgery(t), bundletest.NewHost(t)
			f.write()
			if err := row.make(f); err != nil {
				t.Skipf("this system cannot make that: %v", err)
			}
			if err := f.try(h); !errors.Is(err, bundle.ErrRefused) || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v", err)
			}
			h.Untouched()
		})
	}
}

func linkAway(name string) error {
	away := name + ".away"
	return errors.Join(os.Rename(name, away), os.Symlink(away, name))
}

// TestSwapped changes a bundle between opening and importing it.
func TestSwapped(t *testing.T) {
	t.Parallel()
	f, h := newForgery(t), bundletest.NewHost(t)
	f.write()
	b := bundletest.Open(t, bundle.Trust{Keys: []sign.PublicKey{f.key.Public()}}, f.dir)
	g := newForgery(t)
	g.raw = []byte("ALPHABETA")
	g.block(g.raw, format.BlockStored, 9)
	g.x.Contents = []format.Content{{Digest: action.Of([]byte("ALPHA"))}, {Digest: action.Of([]byte("BETA"))}}
	g.dir = f.dir
	g.write()
	if err := os.WriteFile(f.blobFile(f.pack), g.pack, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := h.TryImport(b); !errors.Is(err, bundle.ErrRefused) {
		t.Errorf("%v", err)
	}
	h.Untouched()
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	dir, a, b, c := t.TempDir(), bundletest.Key(t, 1), bundletest.Key(t, 2), bundletest.Key(t, 3)
	r := bundletest.Make(t, dir, bundletest.Tree{"source": {"a": "a"}}.Spec(1), create.Options{}, a)
	trust := func(n int, keys ...*sign.SecretKey) bundle.Trust {
		tr := bundle.Trust{Threshold: n}
		for _, k := range keys {
			tr.Keys = append(tr.Keys, k.Public())
		}
		return tr
	}
	for name, bad := range map[string]bundle.Trust{"nobody": trust(1), "a stranger": trust(1, b), "two": trust(2, a, b), "the same twice": trust(2, a, a)} {
		if _, err := bundle.Open(t.Context(), bad, dir); !errors.Is(err, bundle.ErrUnsigned) || !errors.Is(err, bundle.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	before := bundletest.Open(t, trust(1, a), dir).Digest()
	if _, err := create.Finish(t.Context(), dir, create.FinishOptions{Keys: []*sign.SecretKey{a, b}, Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	x := bundletest.Open(t, trust(2, a, b, c), dir)
	if x.Digest() != before || len(x.Signers()) != 2 || x.Root().Sequence != r.Sequence {
		t.Errorf("%s, %v", x.Digest(), x.Signers())
	}
	plain := t.TempDir()
	bundletest.Make(t, plain, bundletest.Tree{"source": {"a": "a"}}.Spec(1), create.Options{})
	if _, err := bundle.Open(t.Context(), trust(1, a), plain); !errors.Is(err, bundle.ErrUnsigned) {
		t.Errorf("unsigned: %v", err)
	}
	if x := bundletest.Open(t, bundle.Trust{AllowUnsigned: true}, plain); len(x.Signers()) != 0 {
		t.Errorf("%v", x.Signers())
	}
}

// TestEveryByte flips every byte of a small bundle, one after the other.
func TestEveryByte(t *testing.T) {
	if testing.Short() {
		t.Skip("damages every byte of a bundle")
	}
	t.Parallel()
	f := newForgery(t)
	f.write()
	h := bundletest.NewHost(t)
	for name, text := range bundletest.ReadTree(t, f.dir) {
		file := filepath.Join(f.dir, filepath.FromSlash(name))
		for i := range len(text) {
			bad := []byte(text)
			bad[i] ^= 1
			if err := os.WriteFile(file, bad, 0o666); err != nil {
				t.Fatal(err)
			}
			noticed := f.noticed(h)
			// These may be changed in ways that mean the same.
			if !noticed && name != "index.json" && name != "oci-layout" {
				t.Errorf("%s, byte %d: not noticed", name, i)
			}
		}
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range bundletest.ReadTree(t, filepath.Join(h.Work)) {
		if want := map[string]string{"source/a": "alpha", "source/b": "beta"}[name]; text != want {
			t.Errorf("%s holds %q", name, text)
		}
	}
}

// noticed opens and verifies, and imports what was not found wrong.
func (f *forgery) noticed(h *bundletest.Host) bool {
	b, err := bundle.Open(f.t.Context(), bundle.Trust{Keys: []sign.PublicKey{f.key.Public()}}, f.dir)
	if err != nil {
		if !errors.Is(err, bundle.ErrRefused) {
			f.t.Errorf("not a refusal: %v", err)
		}
		return true
	}
	defer b.Close()
	r, err := b.Verify(f.t.Context(), bundle.VerifyOptions{})
	if err != nil {
		f.t.Error(err)
	}
	if !r.OK() {
		return true
	}
	h.Imports(b)
	return false
}

// TestHostileVolume has members that no volume has.
func TestHostileVolume(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bundletest.Make(t, dir, bundletest.Tree{"source": {"a": "a"}}.Spec(1), create.Options{})
	out := t.TempDir()
	names, err := create.Volumes(t.Context(), bundletest.Open(t, bundletest.Anyone, dir), out, create.VolumeOptions{})
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	good, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]*tar.Header{
		"link":         {Typeflag: tar.TypeSymlink, Name: "blobs/x", Linkname: "/etc/passwd"},
		"hard link":    {Typeflag: tar.TypeLink, Name: "blobs/x", Linkname: "../../x"},
		"device":       {Typeflag: tar.TypeChar, Name: "x", Devmajor: 1, Devminor: 3},
		"pipe":         {Typeflag: tar.TypeFifo, Name: "x"},
		"directory":    {Typeflag: tar.TypeDir, Name: "blobs/"},
		"setuid":       {Typeflag: tar.TypeReg, Name: "oci-layout", Mode: 0o4755},
		"traversal":    {Typeflag: tar.TypeReg, Name: "../../x", Mode: 0o644},
		"absolute":     {Typeflag: tar.TypeReg, Name: "/etc/x", Mode: 0o644},
		"blob's name":  {Typeflag: tar.TypeReg, Name: "blobs/sha256/../../x", Mode: 0o644},
		"twice":        {Typeflag: tar.TypeReg, Name: "index.json", Mode: 0o644},
		"owner":        {Typeflag: tar.TypeReg, Name: "oci-layout", Mode: 0o644, Uid: 1},
		"huge":         {Typeflag: tar.TypeReg, Name: format.BlobPath(action.Of(nil)), Mode: 0o644, Size: 1 << 32},
		"extension":    {Typeflag: tar.TypeReg, Name: "oci-layout", Mode: 0o644, Format: tar.FormatPAX, PAXRecords: map[string]string{"path": "../x"}},
		"GNU sparse":   {Typeflag: tar.TypeGNUSparse, Name: "x", Mode: 0o644},
		"second start": {Typeflag: tar.TypeReg, Name: "volume-002-of-002", Mode: 0o644},
	}
	for name, h := range rows {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			b.Write(good[:len(good)-format.TarTrailer])
			w := tar.NewWriter(&b)
			if err := w.WriteHeader(h); err != nil {
				raw := bundletest.Must(format.TarHeader("x", 0))
				raw[156] = h.Typeflag
				b.Write(raw)
			}
			b.Write(make([]byte, format.TarTrailer))
			file := filepath.Join(t.TempDir(), filepath.Base(names[0]))
			if err := os.WriteFile(file, b.Bytes(), 0o666); err != nil {
				t.Fatal(err)
			}
			x := bundletest.Open(t, bundletest.Anyone, file)
			r, err := x.Verify(t.Context(), bundle.VerifyOptions{})
			if err != nil || r.OK() || r.Damage[0].File != file || r.Damage[0].Offset < 0 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// FuzzImport imports bundles whose hashes and signature are right and whose
// index and pack say anything, a delta's and a patch's among them. What is
// imported is what the index says, and what is refused leaves nothing.
func FuzzImport(f *testing.F) {
	for _, change := range []func(*forgery){func(*forgery) {}, withPatch(func(*forgery) {})} {
		s := newForgery(f)
		change(s)
		f.Add(s.x.Encode(), s.pack)
	}
	f.Fuzz(func(t *testing.T, indexRaw, pack []byte) {
		x, err := format.DecodeIndex(indexRaw)
		if err != nil {
			return
		}
		s := newForgery(t)
		s.x, s.indexRaw, s.pack, s.sinks = x, indexRaw, pack, true
		s.root = s.newRoot()
		for _, c := range x.Contents {
			if c.Kind == format.ContentBase {
				s.root.Base = &bundle.RootBase{Bundles: []string{hex.EncodeToString(make([]byte, 32))}, Contents: 1, Bytes: c.Digest.Size}
			}
			if c.Kind == format.ContentPatched {
				s.root.Features.Critical = []string{format.FeaturePatches}
			}
		}
		s.write()
		h := bundletest.NewHost(t)
		if s.try(h) != nil {
			h.Untouched()
			return
		}
		for _, p := range x.Components {
			sink, err := h.Sink(p.Name)
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range p.Files {
				file.Digest = x.Contents[file.Content].Digest
				if ok, err := sink.Has(t.Context(), file, false); !ok || err != nil {
					t.Errorf("%s %q was imported, and is not there: %v", p.Name, file.Path, err)
				}
			}
		}
	})
}
