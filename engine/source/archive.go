package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// asGo are settings with which the go command, and with it every module proxy,
// takes the files of a version from a repository: line ends as they are in the
// repository unless an attribute says otherwise.
var asGo = [...]string{"-c", "core.autocrlf=input", "-c", "core.eol=lf", "-c", "core.attributesFile=" + os.DevNull}

// goAttributes keep git archive from leaving files out and from filling in
// placeholders, whatever .gitattributes say. The go command adds the same line
// to its clones.
const goAttributes = "* -export-subst -export-ignore\n"

// Archive writes a zip file of the commit's files below the directory dir of
// the work tree ("." for all), as the go command gets them. Nothing of the work
// tree and of its configuration, or of the user's, has an effect: git is run in
// a bare repository of its own that borrows the objects.
func (r *Revision) Archive(ctx context.Context, dir string, w io.Writer) error {
	bare, err := r.borrow(ctx)
	if err != nil {
		return err
	}
	defer os.RemoveAll(bare.dir)
	argv := slices.Concat(asGo[:], []string{"--git-dir=" + bare.dir, "archive", "--format=zip", "--end-of-options", r.Commit})
	if dir != "." {
		argv = append(argv, dir)
	}
	cmd := bare.command(ctx, argv...)
	cmd.Env = append(cmd.Env, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_ATTR_NOSYSTEM=1")
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = w, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return explain(r.Top, "archive", stderr.String(), err)
	}
	return nil
}

// borrow makes a bare repository with the objects of this one.
func (r *Revision) borrow(ctx context.Context) (g git, err error) {
	objects, err := r.git.run(ctx, "rev-parse", "--path-format=absolute", "--git-path", "objects")
	if err != nil {
		return g, err
	}
	if strings.ContainsAny(objects, "\n\"") {
		return g, fmt.Errorf("the repository's path %q cannot be written into git's list of alternates: move it", objects)
	}
	if g.dir, err = os.MkdirTemp("", "airbuild-archive-*"); err != nil {
		return g, err
	}
	config := "[core]\n\trepositoryformatversion = 1\n\tbare = true\n"
	if len(r.Commit) == 64 {
		config += "[extensions]\n\tobjectFormat = sha256\n"
	}
	for name, text := range map[string]string{
		"HEAD":                    "ref: refs/heads/main\n",
		"config":                  config,
		"refs/heads/.keep":        "",
		"info/attributes":         goAttributes,
		"objects/info/alternates": objects + "\n",
	} {
		file := filepath.Join(g.dir, filepath.FromSlash(name))
		if err = os.MkdirAll(filepath.Dir(file), 0o700); err == nil {
			err = os.WriteFile(file, []byte(text), 0o600)
		}
		if err != nil {
			return g, errors.Join(err, os.RemoveAll(g.dir))
		}
	}
	return g, nil
}

// Blob returns the content of a file of the commit as git stores it; an error
// that is fs.ErrNotExist if there is none.
func (r *Revision) Blob(ctx context.Context, name string) ([]byte, error) {
	kind, err := r.git.answer(ctx, "cat-file", "-t", r.Commit+":"+name)
	if err != nil {
		return nil, err
	}
	if kind != "blob" {
		return nil, fmt.Errorf("read %s of commit %s: %w", name, r.Commit[:shortDigits], os.ErrNotExist)
	}
	b, err := r.git.command(ctx, "cat-file", "blob", r.Commit+":"+name).Output()
	if err != nil {
		return nil, fmt.Errorf("git cat-file: %w", err)
	}
	return b, nil
}

// Tagged returns the commit that a tag of the repository names, "" if there is
// no such tag.
func (r *Revision) Tagged(ctx context.Context, tag string) (string, error) {
	out, err := r.git.run(ctx, "rev-parse", "--verify", "--quiet", "refs/tags/"+tag+"^{commit}")
	if _, none := errors.AsType[*exec.ExitError](err); none {
		return "", nil
	}
	return out, err
}
