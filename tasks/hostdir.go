package tasks

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// HostDirectory is the directory of the host that an attribute names: an
// absolute path, or one below the project. It is for the few stage types that
// put things outside the project; directories of the system are refused.
func (b *Block) HostDirectory(attr string) (string, hcl.Diagnostics) {
	text := b.String(attr)
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' }) || text == "" {
		return "", hcl.Diagnostics{b.Error(attr, "Invalid directory", "It is empty or has a control character. Write a path such as \"/srv/app\".")}
	}
	dir := filepath.FromSlash(text)
	if !filepath.IsAbs(dir) {
		if dir = filepath.FromSlash(b.DirPath(text)); !filepath.IsLocal(dir) || dir == "." {
			return "", hcl.Diagnostics{b.Error(attr, "Invalid directory",
				fmt.Sprintf("%q is the project itself or leaves it. Name a directory below it, or one by its absolute path.", text))}
		}
		dir = filepath.Join(b.Project.Root, dir)
	}
	dir = filepath.Clean(dir)
	if why := systemDirectory(dir); why != "" {
		return "", hcl.Diagnostics{b.Error(attr, "Directory of the system", fmt.Sprintf("%s %s. Choose one of your own, such as /srv/NAME or /opt/NAME.", dir, why))}
	}
	return dir, nil
}

// CheckHostDirectory refuses a directory that leads to one of the system's
// through symbolic links. What is not there yet is judged by what it would be
// made in.
func CheckHostDirectory(dir string) error {
	for at, rest := dir, ""; ; at, rest = filepath.Dir(at), filepath.Join(filepath.Base(at), rest) {
		real, err := filepath.EvalSymlinks(at)
		if err != nil && filepath.Dir(at) != at {
			continue
		}
		if err != nil {
			return err
		}
		if why := systemDirectory(filepath.Join(real, rest)); why != "" {
			return fmt.Errorf("%s leads to %s, which %s; choose a directory of your own", dir, filepath.Join(real, rest), why)
		}
		return nil
	}
}

// systemDirectory says why nothing may be put into a directory, or nothing.
func systemDirectory(dir string) string {
	p := strings.ToLower(filepath.ToSlash(strings.TrimPrefix(dir, filepath.VolumeName(dir))))
	p = path.Clean("/" + strings.TrimLeft(p, "/"))
	if p == "/" {
		return "is the root of the file system"
	}
	within := func(top string) bool { return p == top || strings.HasPrefix(p, top+"/") }
	for _, top := range [...]string{"/bin", "/boot", "/dev", "/lib", "/lib32", "/lib64", "/proc", "/sbin", "/sys", "/system", "/windows"} {
		if within(top) {
			return "belongs to the system"
		}
	}
	if within("/usr") && !strings.HasPrefix(p, "/usr/local/") {
		return "belongs to the system"
	}
	for _, top := range [...]string{
		"/applications", "/etc", "/home", "/library", "/media", "/mnt", "/opt", "/private", "/program files", "/program files (x86)",
		"/programdata", "/root", "/run", "/srv", "/tmp", "/users", "/usr/local/bin", "/usr/local/lib", "/usr/local/sbin", "/var", "/var/lib", "/var/log", "/var/tmp",
	} {
		if p == top {
			return "is shared by others; name a directory in it"
		}
	}
	return ""
}
