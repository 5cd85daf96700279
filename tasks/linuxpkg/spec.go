package linuxpkg

// A spec is what the tool is told, in the order of its JSON. Everything in it
// is decided: what is common to all kinds of package is written out in each.
type spec struct {
	Time     int64 `json:"time"` // seconds since 1970, UTC
	Packages []pkg `json:"packages"`
}

// A pkg is one package file. Paths of files are project-relative.
type pkg struct {
	Format      string     `json:"format"`
	Output      string     `json:"output"`
	Name        string     `json:"name"`
	Arch        string     `json:"arch"` // as nfpm takes it: Go's name or the format's own
	Variant     string     `json:"variant,omitempty"`
	Version     string     `json:"version"` // in the format's own notation, without epoch and release
	Release     string     `json:"release,omitempty"`
	Epoch       string     `json:"epoch,omitempty"`
	Summary     string     `json:"summary"`
	Details     string     `json:"details,omitempty"`
	Maintainer  string     `json:"maintainer,omitempty"`
	Vendor      string     `json:"vendor,omitempty"`
	Homepage    string     `json:"homepage,omitempty"`
	License     string     `json:"license,omitempty"`
	LicenseFile string     `json:"license_file,omitempty"`
	Section     string     `json:"section,omitempty"`
	Priority    string     `json:"priority,omitempty"`
	Changelog   string     `json:"changelog,omitempty"`
	Compression string     `json:"compression,omitempty"`
	Lintian     []string   `json:"lintian,omitempty"`
	Depends     []string   `json:"depends,omitempty"`
	PreDepends  []string   `json:"pre_depends,omitempty"`
	Recommends  []string   `json:"recommends,omitempty"`
	Suggests    []string   `json:"suggests,omitempty"`
	Conflicts   []string   `json:"conflicts,omitempty"`
	Breaks      []string   `json:"breaks,omitempty"`
	Replaces    []string   `json:"replaces,omitempty"`
	Provides    []string   `json:"provides,omitempty"`
	Contents    []content  `json:"contents,omitempty"`
	Scripts     []script   `json:"scripts,omitempty"`
	Units       []unit     `json:"units,omitempty"`
	Signature   *signature `json:"signature,omitempty"`
}

// A content is one thing to install.
type content struct {
	Src    string `json:"src,omitempty"`
	Dst    string `json:"dst"` // absolute, clean
	Type   string `json:"type,omitempty"`
	Target string `json:"target,omitempty"`
	Mode   string `json:"mode,omitempty"` // octal; empty: by executable bit
	Owner  string `json:"owner,omitempty"`
	Group  string `json:"group,omitempty"`
}

// A script is a file that the package manager runs.
type script struct {
	Name string `json:"name"`
	Path string `json:"path"`
}

// A unit is a systemd unit.
type unit struct {
	Name    string `json:"name"`
	Src     string `json:"src"`
	Enable  bool   `json:"enable"`
	Start   bool   `json:"start"`
	Restart bool   `json:"restart"`
}

// A signature says that a package is signed, and what of that shows in the
// package. Which key signs is a fact of the step.
type signature struct {
	KeyName string `json:"key_name,omitempty"`
	Role    string `json:"role,omitempty"`
}
