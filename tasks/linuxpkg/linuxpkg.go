// Package linuxpkg holds the stage type package: deb, rpm, apk and Arch Linux
// packages, written by nfpm as a library.
//
// nfpm asks the host for a few things if it is let: the clock, the host's
// name, the times and modes of files, the targets of links. Here everything is
// told to it, so that the bytes hang on the content, the attributes and the
// source's time alone. Versions are written for each format by this package,
// because what git describe says has to sort right in all of them.
package linuxpkg

import (
	"slices"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
)

// toolName and toolVersion begin the command. The version changes when the
// bytes that the tool writes for a spec change, so with nfpm's too.
const (
	toolName    = "package"
	toolVersion = "2"
)

// Kinds of package, as users write them and as nfpm names them.
const (
	deb       = "deb"
	rpm       = "rpm"
	apk       = "apk"
	archlinux = "archlinux"
)

// formats is the order in which kinds are offered.
var formats = [...]string{deb, rpm, apk, archlinux}

// Tasks returns the stage types of this package.
func Tasks(cfg *Config) []tasks.Task { return []tasks.Task{task{cfg}} }

// Tools returns its in-process tools by name, without the "airbuild:" prefix.
// The Config is that of Tasks.
func Tools(cfg *Config) map[string]engine.Tool { return map[string]engine.Tool{toolName: tool{cfg}} }

type task struct{ cfg *Config }

func (task) Schema() *tasks.Schema {
	return &tasks.Schema{
		Type: "package",
		Doc:  "Makes deb, rpm, apk and Arch Linux packages.",
		Attrs: slices.Concat([]tasks.Attr{
			{Name: "format", Kind: tasks.Strings, Required: true, Enum: slices.Clone(formats[:]), Doc: "Kinds of package to make."},
			{Name: "version", Kind: tasks.String, Required: true, Doc: "Version, as a tag or `git.describe` has it: `v1.2.3`, `1.2.3-rc.1`, `v1.2.3-4-gabcdef0`. Each format gets its own way of writing it."},
			{Name: "prerelease", Kind: tasks.String, Default: "that of the version", Doc: "What makes the version come before the release: `rc.1`."},
			{Name: "epoch", Kind: tasks.Number, Doc: "Epoch of the version; apk has none."},
			{Name: "output", Kind: tasks.Output, Default: "the format's usual file name", Doc: "File to write; the format's ending is put behind it."},
			{Name: "summary", Kind: tasks.String, Default: "the stage's description", Doc: "What the package is, in one line."},
			{Name: "details", Kind: tasks.String, Doc: "What the package is, at length."},
			{Name: "maintainer", Kind: tasks.String, Doc: "`Name <address>`; deb needs it."},
			{Name: "vendor", Kind: tasks.String, Doc: "Who distributes it; rpm."},
			{Name: "homepage", Kind: tasks.String, Doc: "URL of the project."},
			{Name: "license", Kind: tasks.String, Doc: "SPDX expression; rpm needs it."},
			{Name: "license_file", Kind: tasks.Path, Doc: "Its text, put where the format wants it (deb: `/usr/share/doc/NAME/copyright`)."},
			{Name: "changelog", Kind: tasks.Path, Default: "deb: one entry that names the version", Doc: "Changelog in the YAML of chglog, as nfpm reads it and the stage type `changelog` writes it; deb and rpm."},
			{Name: "binaries", Kind: tasks.Paths, Doc: "Programs, put into `bindir` under their base names."},
			{Name: "bindir", Kind: tasks.String, Default: "/usr/bin", Doc: "Where `binaries` go."},
			{Name: "lintian_overrides", Kind: tasks.Strings, Doc: "Tags of lintian that are known and meant, such as `statically-linked-binary`; deb."},
			{Name: "mtime", Kind: tasks.String, Default: "source.time, or 1980-01-01T00:00:00Z where it is not known", Doc: "Time of every file and of the build, RFC 3339; whole seconds."},
		}, overridable(), scriptAttrs()),
		Blocks: []tasks.Nested{
			{Type: "contents", Labels: []string{"destination"}, Doc: "Files, a directory or a link in the package.", Attrs: []tasks.Attr{
				{Name: "src", Kind: tasks.Paths, Doc: "Files or directories of the project or outputs of stages."},
				{Name: "dst", Kind: tasks.String, Default: "the label", Doc: "Absolute path to install to; with a slash at its end, the directory that gets the sources under their base names."},
				{Name: "type", Kind: tasks.String, Enum: slices.Clone(contentTypes[:]), Default: "file", Doc: "What it is. A changed `config_noreplace` stays in place on upgrade; `ghost` belongs to an rpm that does not have it."},
				{Name: "target", Kind: tasks.String, Doc: "What a `symlink` points to."},
				{Name: "mode", Kind: tasks.String, Default: "0755 for executables and directories, 0644 for the rest", Doc: "Octal permissions."},
				{Name: "owner", Kind: tasks.String, Default: "root", Doc: "User it belongs to."},
				{Name: "group", Kind: tasks.String, Default: "root", Doc: "Group it belongs to."},
				{Name: "formats", Kind: tasks.Strings, Enum: slices.Clone(formats[:]), Default: "all", Doc: "Kinds of package that have it."},
			}},
			{Type: "systemd", Labels: []string{"unit"}, Doc: "A systemd unit, with the scripts that look after it; apk packages leave it out.", Attrs: []tasks.Attr{
				{Name: "src", Kind: tasks.Path, Required: true, Doc: "The unit file."},
				{Name: "enable", Kind: tasks.Bool, Default: "true", Doc: "Enables it on first installation; false leaves that to the system's presets."},
				{Name: "start", Kind: tasks.Bool, Default: "true", Doc: "Starts it after installation and stops it before removal."},
				{Name: "restart", Kind: tasks.Bool, Default: "true", Doc: "Restarts it after an upgrade if it runs."},
			}},
			{Type: "override", Labels: []string{"format"}, Doc: "What is different in one kind of package.", Attrs: slices.Concat(overridable(), scriptAttrs())},
			{Type: "signature", Labels: []string{"format"}, Doc: "Signs one kind of package: deb and rpm with an OpenPGP key, apk with an RSA key.", Attrs: []tasks.Attr{
				{Name: "key_file", Kind: tasks.String, Doc: "File of the secret key; it may be outside the project. It is never an input."},
				{Name: "key_env", Kind: tasks.String, Doc: "Name of an environment variable that holds the text of the secret key. Neither its value nor a hash of it is kept."},
				{Name: "passphrase_env", Kind: tasks.String, Doc: "Name of an environment variable that holds the key's passphrase."},
				{Name: "fingerprint", Kind: tasks.String, Default: "that of the secret key", Doc: "Fingerprint of the key: another one is refused, and hosts without the secret key take packages from the cache. For apk the SHA-256 of the public key in DER form."},
				{Name: "key_name", Kind: tasks.String, Default: "the maintainer's address", Doc: "Name of the public key in `/etc/apk/keys`; apk."},
				{Name: "role", Kind: tasks.String, Enum: []string{"origin", "maint", "archive"}, Default: "origin", Doc: "Who signs; deb."},
			}},
		},
	}
}

// overridable are the attributes that a kind of package may have of its own.
func overridable() []tasks.Attr {
	return []tasks.Attr{
		{Name: "name", Kind: tasks.String, Default: "the base name of the only binary", Doc: "Name of the package."},
		{Name: "release", Kind: tasks.String, Default: "deb: none, rpm and archlinux: 1, apk: 0", Doc: "Number of the packaging of one version."},
		{Name: "arch", Kind: tasks.String, Default: "that of the cell's platform", Doc: "Architecture: Go's name for it, `all` for none, or the format's own name."},
		{Name: "section", Kind: tasks.String, Default: "utils", Doc: "Section of the archive; deb, and rpm's group."},
		{Name: "priority", Kind: tasks.String, Default: "optional", Doc: "Priority; deb."},
		{Name: "depends", Kind: tasks.Strings, Doc: "Packages that it needs, in the format's own notation."},
		{Name: "pre_depends", Kind: tasks.Strings, Doc: "Packages that must be configured before it is unpacked; deb."},
		{Name: "recommends", Kind: tasks.Strings, Doc: "Packages that most users want with it."},
		{Name: "suggests", Kind: tasks.Strings, Doc: "Packages that some users want with it."},
		{Name: "conflicts", Kind: tasks.Strings, Doc: "Packages that cannot be installed beside it; not apk."},
		{Name: "breaks", Kind: tasks.Strings, Doc: "Packages that it breaks; deb."},
		{Name: "replaces", Kind: tasks.Strings, Doc: "Packages whose place it takes (rpm: obsoletes)."},
		{Name: "provides", Kind: tasks.Strings, Doc: "Names that it stands for."},
		{Name: "compression", Kind: tasks.String, Enum: []string{"gzip", "xz", "zstd"}, Default: "gzip", Doc: "Compression of the content of deb and rpm; apk has gzip and archlinux zstd."},
	}
}

func scriptAttrs() []tasks.Attr {
	doc := map[string]string{
		preInstall:  "Script before the files are installed.",
		postInstall: "Script after the files are installed.",
		preRemove:   "Script before the files are removed.",
		postRemove:  "Script after the files are removed.",
		preUpgrade:  "Script before an upgrade; apk and archlinux, the others run `preinstall`.",
		postUpgrade: "Script after an upgrade; apk and archlinux, the others run `postinstall`.",
		preTrans:    "Script before the transaction; rpm.",
		postTrans:   "Script after the transaction; rpm.",
	}
	var attrs []tasks.Attr
	for _, name := range scriptNames {
		attrs = append(attrs, tasks.Attr{Name: name, Kind: tasks.Path, Doc: doc[name]})
	}
	return attrs
}
