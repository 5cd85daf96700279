package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/docs"
)

// written are the pages in the language of man, by file name.
func written(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if err := write("v1.2.3", dir); err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return err
		}
		if !z.ModTime.IsZero() || z.Name != "" {
			return fmt.Errorf("%s: the archive holds a time or a name", name)
		}
		text, err := io.ReadAll(z)
		pages[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// Every command has a page with what cli.md says of it and its flags.
func TestEveryCommand(t *testing.T) {
	pages := written(t)
	cli, _, _ := docs.Find("cli")
	headings := regexp.MustCompile("(?m)^### `airbuild ([a-z-]+)").FindAllStringSubmatch(cli.Text, -1)
	if len(headings) < 30 {
		t.Fatalf("cli.md has %d commands", len(headings))
	}
	for _, h := range headings {
		if pages["man1/airbuild-"+h[1]+".1.gz"] == "" {
			t.Errorf("%s has no page", h[1])
		}
		if !strings.Contains(pages["man1/airbuild.1.gz"], `\fBairbuild\-`+strings.ReplaceAll(h[1], "-", `\-`)+`\fP(1)`) {
			t.Errorf("airbuild(1) does not name %s", h[1])
		}
	}
	for page, wants := range map[string][]string{
		"man1/airbuild-run.1.gz":   {`airbuild-run \- runs pipelines`, ".TP\n\\fB\\-\\-force\\fR", ".SS Shards", `\fBairbuildfile\fP(5)`},
		"man1/airbuild-cache.1.gz": {`\- the commands path, info, verify`, ".SH airbuild cache prune", `\fB\-\-max\-age DURATION\fR`},
		"man1/airbuild.1.gz":       {`.TH "AIRBUILD" "1" "" "airbuild v1.2.3"`, ".SH Exit codes", ".TP\n\\fB\\-C\\fR", ".SS The compile cache"},
		"man5/airbuildfile.5.gz":   {".SH References", ".TP\n\\fBstage.bin.paths\\fR"},
	} {
		for _, want := range wants {
			if !strings.Contains(pages[page], want) {
				t.Errorf("%s lacks %q", page, want)
			}
		}
	}
	for name, text := range pages {
		for _, mark := range []string{"](", "<!--", "|---", "\n.SH \n"} {
			if strings.Contains(text, mark) {
				t.Errorf("%s has %q", name, mark)
			}
		}
	}
}

// A manual page is a program for troff: it may not complain.
func TestGroff(t *testing.T) {
	if _, err := exec.LookPath("groff"); err != nil {
		t.Skip("groff is needed to format manual pages")
	}
	for name, text := range written(t) {
		cmd := exec.Command("groff", "-k", "-man", "-t", "-Tutf8", "-ww", "-rLL=80n")
		var complaints bytes.Buffer
		cmd.Stdin, cmd.Stderr = strings.NewReader(text), &complaints
		if err := cmd.Run(); err != nil || complaints.Len() > 0 {
			t.Errorf("%s: %v\n%s", name, err, &complaints)
		}
	}
}

func TestParts(t *testing.T) {
	got := fmt.Sprint(parts("# a\nx\n```\n# code\n```\n## b\ny\n"))
	if want := fmt.Sprint([]part{{1, "a", "x\n```\n# code\n```\n"}, {2, "b", "y\n"}}); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := withoutEmpty("# a\n\n# b\ntext\n### c\n# d\n"), "# b\ntext\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
