package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/airbuild/airbuild/engine/source"
)

func (d *doctor) git() {
	if _, err := exec.LookPath("git"); err != nil {
		d.warn("git", "install git, or put a source.json next to the Airbuildfile", "git is not on PATH")
		return
	}
	if d.root == "" {
		return
	}
	if _, err := d.askGit("rev-parse", "--git-dir"); err != nil {
		d.gitTrouble(err)
		return
	}
	d.ok("git", "%s, the project is in a repository", d.fp.Tools["git"].Version)
	if out, err := d.askGit("rev-parse", "--is-shallow-repository"); err == nil && strings.TrimSpace(string(out)) == "true" {
		d.warn("git", "git fetch --unshallow --tags", "the clone is shallow: git.describe may not see the last tag")
	}
	d.lineEnds()
}

// askGit runs git in the project, bounded in time.
func (d *doctor) askGit(args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(d.ctx, 20*time.Second)
	defer cancel()
	cmd, err := source.Command(ctx, d.root, args...)
	if err != nil {
		return nil, err
	}
	return cmd.Output()
}

func (d *doctor) gitTrouble(err error) {
	if owner, ok := errors.AsType[*source.OwnerError](err); ok {
		d.fail("git", owner.Fix(), "The repository at %s belongs to another user", owner.Dir)
		return
	}
	if _, serr := os.Stat(filepath.Join(d.root, source.FileName)); serr == nil {
		d.ok("git", "no repository; %s describes the source", source.FileName)
		return
	}
	d.warn("git", "git init, or write a source.json", "the project is in no repository: git and source have no values")
}

// maxEndings is how much of git's list of line ends is looked at, in bytes.
const maxEndings = 16 << 20

// lineEnds looks for files whose line ends git changed on checkout: their bytes
// are others than those that another host builds from.
func (d *doctor) lineEnds() {
	out, err := d.askGit("ls-files", "--eol")
	if err != nil || len(out) > maxEndings {
		return
	}
	n, first := 0, ""
	for line := range strings.Lines(string(out)) {
		about, name, ok := strings.Cut(line, "\t")
		if ok && strings.HasPrefix(about, "i/lf") && strings.Contains(about, "w/crlf") {
			if n++; n == 1 {
				first = strings.TrimSpace(name)
			}
		}
	}
	if n > 0 {
		d.warn("line ends", `put "* text=auto eol=lf" into .gitattributes, then git rm --cached -r -q . && git reset --hard`,
			"%s checked out with CR LF, such as %s: their bytes, and all keys made of them, differ from those of other hosts", map[bool]string{true: "1 file is", false: fmt.Sprintf("%d files are", n)}[n == 1], first)
	}
	if out, err := d.askGit("config", "--get", "core.symlinks"); err == nil && strings.TrimSpace(string(out)) == "false" {
		d.warn("git", "git config core.symlinks true, then check out again", "core.symlinks is false: symbolic links become files")
	}
}
