package carry

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/airbuild/airbuild/engine/pattern"

	"github.com/airbuild/airbuild/engine/bundle/create"
)

// OutputFiles is the component of what the user takes away: the outputs below
// dist, as they are in the project.
func OutputFiles(root, dist string, outputs []string) (create.Component, error) {
	var files []create.Input
	for _, out := range outputs {
		if !within(out, dist) || out == dist {
			continue
		}
		found, err := below(filepath.Join(root, filepath.FromSlash(dist)), filepath.Join(root, filepath.FromSlash(out)))
		if err != nil {
			return create.Component{}, fmt.Errorf("carry %s: %w", out, err)
		}
		files = append(files, found...)
	}
	return create.Component{Name: Artifacts, Files: sorted(files)}, nil
}

// below lists a file, or all files of a directory, by their paths in base.
func below(base, p string) ([]create.Input, error) {
	var files []create.Input
	err := filepath.WalkDir(p, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		if !fi.Mode().IsRegular() {
			return fmt.Errorf("%s is not a file: only files are carried", name)
		}
		rel, err := filepath.Rel(base, name)
		if err != nil {
			return err
		}
		files = append(files, create.FileInput(filepath.ToSlash(rel), name, fi.Mode()&0o111 != 0))
		return nil
	})
	return files, err
}

// ExtraFiles is a component of files below dir that the patterns name. A
// pattern that names nothing is an error: something that was to be carried is
// not there.
func ExtraFiles(name, dir string, patterns []string) (create.Component, error) {
	var files []create.Input
	fsys := os.DirFS(dir)
	for _, p := range patterns {
		var found []string
		err := pattern.Check(p)
		if err != nil {
			return create.Component{}, fmt.Errorf("extra %s: pattern %q: %w", name, p, err)
		}
		err = pattern.Walk(fsys, p, func(f string, _ bool) error { found = append(found, f); return nil })
		if err != nil {
			return create.Component{}, fmt.Errorf("extra %s: %w", name, err)
		}
		n := len(files)
		for _, f := range found {
			more, err := below(dir, filepath.Join(dir, filepath.FromSlash(f)))
			if err != nil {
				return create.Component{}, fmt.Errorf("extra %s: %w", name, err)
			}
			files = append(files, more...)
		}
		if n == len(files) {
			return create.Component{}, fmt.Errorf("extra %s: %q names no file in %s", name, p, dir)
		}
	}
	return create.Component{Name: Extra + "/" + name, Files: sorted(files)}, nil
}

// Programs are the components of airbuild itself, one a host. given names the
// program of a host; for this host it is self where nothing is given. Hosts
// without one are returned as missing.
func Programs(hosts []string, given map[string]string, root, self string) (cs []create.Component, missing []string, err error) {
	for _, host := range hosts {
		file, ok := given[host]
		switch {
		case ok && !filepath.IsAbs(file):
			file = filepath.Join(root, filepath.FromSlash(file))
		case !ok && host == ThisHost():
			file = self
		case !ok:
			missing = append(missing, host)
			continue
		}
		if fi, err := os.Stat(file); err != nil {
			return nil, nil, fmt.Errorf("carry airbuild for %s: %w", host, err)
		} else if !fi.Mode().IsRegular() {
			return nil, nil, fmt.Errorf("carry airbuild for %s: %s is not a file", host, file)
		}
		goos, goarch := splitHost(host)
		in := create.FileInput(programName(goos), file, true)
		cs = append(cs, create.Component{Name: Airbuild + "/" + HostName(goos, goarch), Plain: true, Files: []create.Input{in}})
	}
	return sortedComponents(cs), missing, nil
}

// programName is the file name of airbuild on a system.
func programName(goos string) string {
	if goos == "windows" {
		return "airbuild.exe"
	}
	return "airbuild"
}
