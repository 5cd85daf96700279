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
func Tasks() []tasks.Task { return []tasks.Task{task{}} }

// Tools returns its in-process tools by name, without the "airbuild:" prefix.
func Tools() map[string]engine.Tool {
	return map[string]engine.Tool{toolName: tasks.Tool[spec](runTool)}
}

type task struct{}

func (task) Schema() *tasks.Schema {
	return &tasks.Schema{
		Type:   "package",
		Traits: tasks.Traits{Timed: true, Traits: engine.Traits{Shipped: true}},
		Doc:    "Builds deb, rpm, apk and Arch Linux packages.",
		Attrs: slices.Concat([]tasks.Attr{
			{Name: "format", Kind: tasks.Strings, Required: true, Enum: slices.Clone(formats[:]), Doc: "Package formats to build."},
			{Name: "version", Kind: tasks.String, Required: true, Doc: "Version, in the format of a tag or of `git.describe`: `v1.2.3`, `1.2.3-rc.1`, `v1.2.3-4-gabcdef0`. It is converted to the notation of each format."},
			{Name: "prerelease", Kind: tasks.String, Default: "the version's", Doc: "Pre-release part of the version: `rc.1`."},
			{Name: "epoch", Kind: tasks.Number, Doc: "Epoch of the version; not apk."},
			{Name: "output", Kind: tasks.Output, Default: "the format's usual file name", Doc: "File to write; the format's extension is appended."},
			{Name: "summary", Kind: tasks.String, Default: "the stage's description", Doc: "Summary, one line."},
			{Name: "details", Kind: tasks.String, Doc: "Long description."},
			{Name: "maintainer", Kind: tasks.String, Doc: "`Name <address>`; required for deb."},
			{Name: "vendor", Kind: tasks.String, Doc: "Vendor; rpm."},
			{Name: "homepage", Kind: tasks.String, Doc: "URL of the project."},
			{Name: "license", Kind: tasks.String, Doc: "SPDX license expression; required for rpm."},
			{Name: "license_file", Kind: tasks.Path, Doc: "License text, installed where the format expects it (deb: `/usr/share/doc/NAME/copyright`)."},
			{Name: "changelog", Kind: tasks.Path, Default: "deb: one entry with the version", Doc: "Changelog in chglog's YAML format, which the stage type `changelog` writes; deb and rpm."},
			{Name: "binaries", Kind: tasks.Paths, Doc: "Programs, installed to `bindir` under their base names."},
			{Name: "bindir", Kind: tasks.String, Default: "/usr/bin", Doc: "Directory for `binaries`."},
			{Name: "lintian_overrides", Kind: tasks.Strings, Doc: "lintian tags to override, such as `statically-linked-binary`; deb."},
			{Name: "mtime", Kind: tasks.String, Default: "source.time, or 1980-01-01T00:00:00Z if unknown", Doc: "Timestamp of every file and of the build, RFC 3339, whole seconds."},
		}, overridable(), scriptAttrs()),
		Blocks: []tasks.Nested{
			{Type: "contents", Labels: []string{"destination"}, Doc: "Files, a directory or a link in the package.", Attrs: []tasks.Attr{
				{Name: "src", Kind: tasks.Paths, Doc: "Files or directories of the project or outputs of stages."},
				{Name: "dst", Kind: tasks.String, Default: "the label", Doc: "Absolute path to install to; with a trailing slash, the directory that receives the sources under their base names."},
				{Name: "type", Kind: tasks.String, Enum: slices.Clone(contentTypes[:]), Default: "file", Doc: "The kind of entry. An upgrade does not replace a changed `config_noreplace`; `ghost` is owned by an rpm that does not contain it."},
				{Name: "target", Kind: tasks.String, Doc: "Target of a `symlink`."},
				{Name: "mode", Kind: tasks.String, Default: "0755 for executables and directories, 0644 for the rest", Doc: "Octal permissions."},
				{Name: "owner", Kind: tasks.String, Default: "root", Doc: "Owner."},
				{Name: "group", Kind: tasks.String, Default: "root", Doc: "Group."},
				{Name: "formats", Kind: tasks.Strings, Enum: slices.Clone(formats[:]), Default: "all", Doc: "Package formats that include it."},
			}},
			{Type: "systemd", Labels: []string{"unit"}, Doc: "A systemd unit and its maintainer scripts; omitted from apk packages.", Attrs: []tasks.Attr{
				{Name: "src", Kind: tasks.Path, Required: true, Doc: "The unit file."},
				{Name: "enable", Kind: tasks.Bool, Default: "true", Doc: "Enables the unit on first installation; false leaves that to the system's presets."},
				{Name: "start", Kind: tasks.Bool, Default: "true", Doc: "Starts the unit after installation and stops it before removal."},
				{Name: "restart", Kind: tasks.Bool, Default: "true", Doc: "Restarts the unit after an upgrade if it is running."},
			}},
			{Type: "override", Labels: []string{"format"}, Doc: "Arguments that differ in one package format.", Attrs: slices.Concat(overridable(), scriptAttrs())},
			{Type: "signature", Labels: []string{"format"}, Doc: "Signs packages of one format: deb and rpm with an OpenPGP key, apk with an RSA key.", Attrs: []tasks.Attr{
				{Name: "key_file", Kind: tasks.String, Doc: "Path of the secret key file; it may be outside the project. It is never an input."},
				{Name: "key_env", Kind: tasks.String, Doc: "Name of an environment variable that holds the text of the secret key. Neither its value nor a hash of it is stored."},
				{Name: "passphrase_env", Kind: tasks.String, Doc: "Name of an environment variable that holds the key's passphrase."},
				{Name: "fingerprint", Kind: tasks.String, Default: "that of the secret key", Doc: "Fingerprint of the key. Other keys are rejected, and hosts without the secret key use packages from the cache. For apk, the SHA-256 of the public key in DER format."},
				{Name: "key_name", Kind: tasks.String, Default: "the maintainer's address", Doc: "Name of the public key in `/etc/apk/keys`; apk."},
				{Name: "role", Kind: tasks.String, Enum: []string{"origin", "maint", "archive"}, Default: "origin", Doc: "Role of the signer; deb."},
			}},
		},
	}
}

// overridable are the attributes that a kind of package may have of its own.
func overridable() []tasks.Attr {
	return []tasks.Attr{
		{Name: "name", Kind: tasks.String, Default: "the base name of the only binary", Doc: "Name of the package."},
		{Name: "release", Kind: tasks.String, Default: "deb: none, rpm and archlinux: 1, apk: 0", Doc: "Package release number."},
		{Name: "arch", Kind: tasks.String, Default: "the cell's platform", Doc: "Architecture: Go's name, the format's own name, or `all` for architecture-independent packages."},
		{Name: "section", Kind: tasks.String, Default: "utils", Doc: "Section; deb, and the group of an rpm."},
		{Name: "priority", Kind: tasks.String, Default: "optional", Doc: "Priority; deb."},
		{Name: "depends", Kind: tasks.Strings, Doc: "Required packages, in the format's own notation."},
		{Name: "pre_depends", Kind: tasks.Strings, Doc: "Packages that must be configured before this one is unpacked; deb."},
		{Name: "recommends", Kind: tasks.Strings, Doc: "Recommended packages."},
		{Name: "suggests", Kind: tasks.Strings, Doc: "Suggested packages."},
		{Name: "conflicts", Kind: tasks.Strings, Doc: "Packages that conflict with this one; not apk."},
		{Name: "breaks", Kind: tasks.Strings, Doc: "Packages that this one breaks; deb."},
		{Name: "replaces", Kind: tasks.Strings, Doc: "Packages that this one replaces (rpm: obsoletes)."},
		{Name: "provides", Kind: tasks.Strings, Doc: "Virtual package names that this one provides."},
		{Name: "compression", Kind: tasks.String, Enum: []string{"gzip", "xz", "zstd"}, Default: "gzip", Doc: "Compression of deb and rpm packages; apk uses gzip and archlinux zstd."},
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
