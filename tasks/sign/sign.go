// Package sign holds the stage type sign: signatures of files, in minisign's
// format or as DSSE envelopes.
//
// What a signature comes out as hangs on the file, the comment and the public
// key, because ed25519 is deterministic. So the public key is the fact that the
// key of the step holds, and the secret is in none of it: a host without the
// secret takes signatures from the cache. Where the secret is goes from the
// plan to the tool through the Config, in memory.
package sign

import (
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	signing "github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/tasks"
)

// toolName and toolVersion begin the command. The version changes when the
// bytes that the tool writes for a spec change.
const (
	toolName    = "sign"
	toolVersion = "1"
)

// Forms of signatures, as users write them.
const (
	minisign = "minisign"
	dsse     = "dsse"
)

// Tasks returns the stage types of this package.
func Tasks(cfg *Config) []tasks.Task { return []tasks.Task{task{cfg}} }

// Tools returns its in-process tools by name, without the "airbuild:" prefix.
// The Config is that of Tasks.
func Tools(cfg *Config) map[string]engine.Tool {
	return map[string]engine.Tool{toolName: tasks.Tool[spec](tool{cfg}.run)}
}

type task struct{ cfg *Config }

func (task) Schema() *tasks.Schema {
	return &tasks.Schema{
		Type:   "sign",
		Traits: tasks.Traits{Timed: true},
		Doc:    "Signs files with an Ed25519 key.",
		Attrs: slices.Insert([]tasks.Attr{
			{Name: "files", Kind: tasks.Paths, Required: true, Doc: "Files to sign. Each signature is written next to the file it signs, or to dist for a file of the project."},
			{Name: "format", Kind: tasks.Strings, Enum: []string{minisign, dsse}, Default: minisign, Doc: "Signature formats: `minisign` writes `FILE.minisig`, `dsse` writes `FILE.dsse.json`."},
			{Name: "comment", Kind: tasks.String, Default: "the file's name and source.time", Doc: "Trusted comment, covered by the signature: one line."},
			{Name: "payload_type", Kind: tasks.String, Default: "a statement of the file's SHA-256", Doc: "Embeds the file itself in the DSSE envelope, as a payload of this media type."},
		}, 2, KeyAttrs()...),
	}
}

// A spec is what the tool is told, in the order of its JSON.
type spec struct {
	Files []file `json:"files"`
}

// A file is what is made of one file. Paths are project-relative.
type file struct {
	File        string `json:"file"`
	Minisig     string `json:"minisig,omitempty"`
	DSSE        string `json:"dsse,omitempty"`
	Comment     string `json:"comment"`
	PayloadType string `json:"payload_type,omitempty"`
}

func (f file) outputs() (names []string) {
	for _, name := range []string{f.Minisig, f.DSSE} {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

func (t task) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	files, diags := planFiles(b)
	l, more := planKey(b)
	if diags = append(diags, more...); diags.HasErrors() {
		return nil, diags
	}
	s := b.NewStep(engine.InProcess)
	hideKey(&s, b, l.from)
	var outputs []string
	for _, f := range files {
		outputs = append(outputs, f.outputs()...)
	}
	tasks.AddPaths(&s, b.Paths("files"))
	b.AddRefs(&s, "files")
	s.Discoverer = l
	tasks.SetOutputs(&s, outputs, nil)
	return b.ToolStep(s, toolName, toolVersion, spec{files}, diags)
}

// planFiles says what becomes of each file.
func planFiles(b *tasks.Block) (files []file, diags hcl.Diagnostics) {
	formats := b.Strings("format")
	if len(formats) == 0 {
		formats = []string{minisign}
	}
	diags = checkText(b, formats)
	taken := map[string]bool{}
	for _, p := range uniquePaths(b.Paths("files")) {
		f := file{File: p.Path, Comment: comment(b, p.Path)}
		place := p.Path
		if !strings.HasPrefix(place, b.Project.Dist+"/") {
			place = b.DistPath(path.Base(p.Path))
		}
		if slices.Contains(formats, minisign) {
			f.Minisig = place + ".minisig"
		}
		if slices.Contains(formats, dsse) {
			f.DSSE, f.PayloadType = place+".dsse.json", b.String("payload_type")
		}
		for _, out := range f.outputs() {
			if taken[out] {
				diags = append(diags, b.Error("files", "Two signatures of one name",
					fmt.Sprintf("%s would be written twice. Sign files of one name in different stages' folders, or rename one.", out)))
			}
			taken[out] = true
		}
		if info, err := fs.Stat(b.Project.Files, p.Path); p.Ref == nil && err == nil && info.IsDir() {
			diags = append(diags, b.Error("files", "Directory to sign",
				fmt.Sprintf("%s is a directory. Name its files, or put it into an archive and sign that.", p.Path)))
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		diags = append(diags, b.NoFiles("files", "Nothing to sign"))
	}
	return files, diags
}

// uniquePaths are the paths by name, each once.
func uniquePaths(paths []tasks.PathValue) []tasks.PathValue {
	paths = slices.SortedStableFunc(slices.Values(paths), func(a, b tasks.PathValue) int { return strings.Compare(a.Path, b.Path) })
	return slices.CompactFunc(paths, func(a, b tasks.PathValue) bool { return a.Path == b.Path })
}

// comment is what is signed beside a file: never the clock.
func comment(b *tasks.Block, name string) string {
	if b.Has("comment") {
		return b.String("comment")
	}
	text := "file:" + path.Base(name)
	if !b.Project.Source.Time.IsZero() {
		text = fmt.Sprintf("timestamp:%d\t%s", b.Project.Source.Epoch, text)
	}
	return text
}

func checkText(b *tasks.Block, formats []string) (diags hcl.Diagnostics) {
	if err := signing.CheckComment(b.String("comment")); err != nil {
		diags = append(diags, b.Error("comment", "Comment of a signature", "It is "+strings.TrimPrefix(err.Error(), "a signature's comment is ")+"."))
	}
	if !b.Has("payload_type") {
		return diags
	}
	if err := signing.CheckPayloadType(b.String("payload_type")); err != nil {
		diags = append(diags, b.Error("payload_type", "Type of a payload", "Want a media type such as \"application/vnd.in-toto+json\"."))
	}
	if !slices.Contains(formats, dsse) {
		diags = append(diags, b.Error("payload_type", "Payload without envelope", "payload_type is for DSSE envelopes. Add \"dsse\" to format, or remove payload_type."))
	}
	return diags
}

// planKey reads which key signs.
func planKey(b *tasks.Block) (*discoverer, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	var given []string
	for _, name := range []string{"key", "key_file", "key_env"} {
		if b.Has(name) {
			given = append(given, name)
		}
	}
	switch len(given) {
	case 1:
	case 0:
		return nil, hcl.Diagnostics{b.Error("key", "No key to sign with", "Say which key signs: key = \"NAME\" of the keyring, key_file or key_env. To make one: airbuild key new NAME.")}
	default:
		return nil, hcl.Diagnostics{b.Error(given[1], "Two keys to sign with", fmt.Sprintf("%s says it already. Keep one of key, key_file and key_env; for signatures by several keys use several stages.", given[0]))}
	}
	l := &discoverer{place: place(b.RangeOf(given[0]))}
	switch value := b.String(given[0]); given[0] {
	case "key":
		l.from = source{kind: fromKeyring, name: value}
		if err := signing.CheckKeyName(value); err != nil {
			diags = append(diags, b.Error("key", "Name of a key", "It is a name that airbuild key list shows. A file is given with key_file, a variable with key_env."))
		}
		dir, err := signing.KeyringDir(b.Project.Environ)
		if err != nil {
			l.missing = err.Error()
		}
		l.from.dir = dir
	case "key_file":
		if value == "" {
			diags = append(diags, b.Error("key_file", "No key file", "key_file is empty. Name the file of a secret key."))
		}
		file := filepath.FromSlash(value)
		if !filepath.IsAbs(file) {
			file = filepath.Join(b.Project.Root, filepath.FromSlash(b.Meta.Dir), file)
		}
		l.from = source{kind: fromFile, name: file}
	case "key_env":
		l.from = source{kind: fromEnv, name: value, secret: &secret{variable(b, value)}}
		if value == "" || strings.ContainsAny(value, "= \t\n\x00") {
			diags = append(diags, b.Error("key_env", "Name of a variable", "key_env is the name of an environment variable, such as \"SIGN_KEY\", not its value."))
		}
	}
	public, more := publicKey(b)
	l.public = public
	return l, append(diags, more...)
}

func place(r hcl.Range) string { return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line) }

// variable is the value of an environment variable: the stage's own, or that
// of airbuild's environment.
func variable(b *tasks.Block, name string) string {
	for _, env := range []map[string]string{b.Meta.Env, b.Meta.PassEnv} {
		if value, ok := env[name]; ok {
			return value
		}
	}
	value, _ := b.Project.Environ(name)
	return value
}

// publicKey reads the attribute, or gives the zero key.
func publicKey(b *tasks.Block) (key signing.PublicKey, _ hcl.Diagnostics) {
	if !b.Has("public_key") {
		return key, nil
	}
	text := b.String("public_key")
	key, err := signing.ParsePublicKey([]byte(text))
	if err == nil {
		return key, nil
	}
	content, ferr := fs.ReadFile(b.Project.Files, path.Clean(b.DirPath(text)))
	if ferr != nil {
		return key, hcl.Diagnostics{b.Error("public_key", "No public key", "This is neither the text of a public key (RWQ…) nor a file of the project.")}
	}
	if key, err = signing.ParsePublicKey(content); err != nil {
		return key, hcl.Diagnostics{b.Error("public_key", "No public key", fmt.Sprintf("%s: %v.", text, err))}
	}
	return key, nil
}

// hideKey takes the secret out of the step: of its environment, where it would
// be in the key and in the store, and of its log.
func hideKey(s *engine.Step, b *tasks.Block, from source) {
	if from.kind != fromEnv {
		return
	}
	named := func(v action.EnvVar) bool { return v.Name == from.name }
	s.Command.Env = slices.DeleteFunc(s.Command.Env, named)
	s.Secrets = slices.DeleteFunc(s.Secrets, named)
	if value := from.value(); value != "" {
		s.Mask = append(s.Mask, value)
	}
}
