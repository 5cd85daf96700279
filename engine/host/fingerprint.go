// Package host says what a machine is, as far as it matters for running the
// same work on another: its fingerprint. It holds fingerprints against what a
// project wants and against each other.
//
// A fingerprint is made to be carried: it holds no host name, no address, no
// user, no absolute path of a home, and no values of the environment but those
// that were asked for by name.
package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/airbuild/airbuild/engine/host/binary"
	"github.com/airbuild/airbuild/internal/canonjson"
)

// Version is the version of the format that Encode writes.
const Version = 1

// maxFingerprint is how large a fingerprint may be, in bytes.
const maxFingerprint = 1 << 20

// A Fingerprint is what a machine is. docs/formats.md describes its JSON.
// Sizes are bytes; a number that is not known is 0.
type Fingerprint struct {
	Version      int                `json:"version"`
	Airbuild     string             `json:"airbuild"` // the version that made it
	OS           string             `json:"os"`       // as GOOS
	Arch         string             `json:"arch"`     // as GOARCH
	Level        string             `json:"level"`    // of the architecture: v1 to v4, v8.0 to v9.x
	CPUs         int                `json:"cpus"`
	CPU          string             `json:"cpu"`      // the model
	Features     []string           `json:"features"` // of the processor, sorted
	Distribution Distribution       `json:"distribution"`
	Kernel       string             `json:"kernel"` // its release
	Libc         Libc               `json:"libc"`
	Memory       Memory             `json:"memory"`
	Disks        map[string]Disk    `json:"disks"` // project, cache, tmp
	Limits       map[string]Limit   `json:"limits"`
	Clock        Clock              `json:"clock"`
	Syscalls     map[string]Syscall `json:"syscalls"` // what was probed
	Tools        map[string]Tool    `json:"tools"`    // what was looked for
	Env          Env                `json:"env"`
}

// A Distribution is what /etc/os-release says, or the system's own name.
type Distribution struct {
	ID      string `json:"id"`
	Version string `json:"version"`
	Name    string `json:"name"`
}

// Libc is the C library: "glibc" or "musl"; empty if there is none.
type Libc struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Memory is the machine's. Limit is that of the control group; 0 if none.
type Memory struct {
	Total     int64 `json:"total"`
	Available int64 `json:"available"`
	Limit     int64 `json:"limit"`
}

// TakeMemory looks at this host's memory only.
func TakeMemory() Memory { return memory() }

// Usable is what a program here can use at most.
func (m Memory) Usable() int64 {
	if m.Limit > 0 && m.Limit < m.Total {
		return m.Limit
	}
	return m.Total
}

// A Disk is the file system that holds a directory.
type Disk struct {
	Total      int64  `json:"total"`
	Free       int64  `json:"free"`        // for an ordinary user
	FreeInodes int64  `json:"free_inodes"` // -1 where there is no such number
	FileSystem string `json:"file_system"`
	// FoldsCase: "A" and "a" are the same file. Unknown where the directory
	// cannot be written.
	FoldsCase bool `json:"folds_case"`
	Writable  bool `json:"writable"`
}

// A Limit of a process. Unlimited is -1.
type Limit struct {
	Soft int64 `json:"soft"`
	Hard int64 `json:"hard"`
}

// A Clock is when the fingerprint was taken, and where.
type Clock struct {
	Time   string `json:"time"`   // RFC 3339, UTC, seconds
	Zone   string `json:"zone"`   // "Europe/Berlin" or an abbreviation
	Offset int    `json:"offset"` // seconds east of UTC
	// Synchronized is the kernel's word: "yes", "no", or "" where it says none.
	Synchronized string `json:"synchronized"`
}

// A Syscall is a service of the kernel that was tried.
type Syscall struct {
	Works  bool   `json:"works"`
	Detail string `json:"detail"` // its version, or why it does not work
}

// A Tool is a program on PATH.
type Tool struct {
	Found   bool   `json:"found"`
	Version string `json:"version"` // "" if it does not say
	Path    string `json:"path"`
}

// Env is the environment: its names, sorted, and the values that were asked for.
type Env struct {
	Names  []string          `json:"names"`
	Values map[string]string `json:"values"`
}

// Target is what a binary needs to know of the host.
func (f *Fingerprint) Target() binary.Target {
	return binary.Target{OS: f.OS, Arch: f.Arch, Level: f.Level, Libc: f.Libc.Name, LibcVersion: f.Libc.Version, Kernel: f.Kernel}
}

// Encode writes f in its canonical form: one line of JSON in UTF-8, the names of
// every object sorted, no blanks, no escapes that are not needed, and a line
// feed at the end.
func (f *Fingerprint) Encode() ([]byte, error) {
	b, err := canonjson.Sorted(f)
	if err != nil {
		return nil, fmt.Errorf("encode fingerprint: %w", err)
	}
	return append(b, '\n'), nil
}

// Decode reads a fingerprint, canonical or laid out for people. It refuses a
// version that it does not know, fields that the version does not have, and
// anything after the object.
func Decode(data []byte) (*Fingerprint, error) {
	if len(data) > maxFingerprint {
		return nil, fmt.Errorf("read fingerprint: %d bytes are more than one has", len(data))
	}
	var head struct {
		Version *int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("read fingerprint: it is not a JSON object: %w", err)
	}
	switch {
	case head.Version == nil:
		return nil, errors.New("read fingerprint: it has no version; make one with: airbuild host fingerprint")
	case *head.Version != Version:
		return nil, fmt.Errorf("read fingerprint: version %d, and this airbuild knows %d: make it again, or use a newer airbuild", *head.Version, Version)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	f := &Fingerprint{}
	if err := dec.Decode(f); err != nil {
		return nil, fmt.Errorf("read fingerprint: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("read fingerprint: there is something after it")
	}
	if f.OS == "" || f.Arch == "" {
		return nil, errors.New("read fingerprint: it does not say os and arch")
	}
	f.fill()
	return f, nil
}

// fill makes empty lists and maps of absent ones, so that one value has one
// encoding.
func (f *Fingerprint) fill() {
	fillMap(&f.Disks)
	fillMap(&f.Limits)
	fillMap(&f.Syscalls)
	fillMap(&f.Tools)
	fillMap(&f.Env.Values)
	if f.Features == nil {
		f.Features = []string{}
	}
	if f.Env.Names == nil {
		f.Env.Names = []string{}
	}
}

func fillMap[V any](m *map[string]V) {
	if *m == nil {
		*m = map[string]V{}
	}
}

// secretWords are in the names of variables whose values are secrets.
var secretWords = []string{"TOKEN", "SECRET", "PASSW", "PASSPHRASE", "CREDENTIAL", "PRIVATE", "APIKEY", "API_KEY", "AUTH", "COOKIE", "SESSION", "SIGNING", "ACCESS_KEY"}

// IsSecretName reports whether a variable's name says that its value is secret.
func IsSecretName(name string) bool {
	upper := strings.ToUpper(name)
	for _, word := range secretWords {
		if strings.Contains(upper, word) {
			return true
		}
	}
	return strings.HasSuffix(upper, "KEY")
}
