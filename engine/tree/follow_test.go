package tree

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestFollow: a link is added with all that it leads to, step by step.
func TestFollow(t *testing.T) {
	for name, c := range map[string]struct {
		links map[string]string // path → target; OUT is a directory outside
		add   string
		want  []string // files, and links as "path -> target"
	}{
		"file":                {map[string]string{"d/l": "../e/f"}, "d/l", []string{"d/l -> ../e/f", "e/f"}},
		"directory":           {map[string]string{"d/l": "../e"}, "d/l", []string{"d/l -> ../e", "e/f", "e/s/g"}},
		"by a directory":      {map[string]string{"d/l": "../e"}, "d", []string{"d/l -> ../e", "d/x", "e/f", "e/s/g"}},
		"link to a link":      {map[string]string{"l": "m", "m": "e/f"}, "l", []string{"e/f", "l -> m", "m -> e/f"}},
		"link on the way":     {map[string]string{"l": "cur/s/g", "cur": "e"}, "l", []string{"cur -> e", "e/s/g", "l -> cur/s/g"}},
		"up through a link":   {map[string]string{"l": "k/../f", "k": "e/s"}, "l", []string{"e/f", "k -> e/s", "l -> k/../f"}},
		"nowhere":             {map[string]string{"l": "gone"}, "l", []string{"l -> gone"}},
		"circle":              {map[string]string{"l": "m", "m": "l"}, "l", []string{"l -> m", "m -> l"}},
		"above itself":        {map[string]string{"d/l": ".."}, "d", []string{"d/l -> ..", "d/x"}},
		"itself":              {map[string]string{"d/l": "."}, "d", []string{"d/l -> .", "d/x"}},
		"absolute, inside":    {map[string]string{"d/l": "ROOT/e/f"}, "d/l", []string{"d/l -> ../e/f", "e/f"}},
		"file outside":        {map[string]string{"d/l": "OUT/o"}, "d/l", []string{"d/l"}},
		"directory outside":   {map[string]string{"d/l": "OUT"}, "d/l", []string{"d/l/o", "d/l/p/q"}},
		"circle outside":      {map[string]string{"d/l": "OUT", "OUT/p/c": ".."}, "d/l", []string{"d/l/o", "d/l/p/c -> ..", "d/l/p/q"}},
		"behind a link":       {map[string]string{"k": "d", "d/l": "../e/f"}, "k/l", []string{"k/l"}},
		"output directory":    {map[string]string{"d/l": "../dist"}, "d/l", []string{"d/l -> ../dist"}},
		"two to one":          {map[string]string{"d/l": "../e", "d/m": "../e"}, "d", []string{"d/l -> ../e", "d/m -> ../e", "d/x", "e/f", "e/s/g"}},
		"relative to outside": {map[string]string{"l": "../outside/o"}, "l", []string{"l"}},
	} {
		t.Run(name, func(t *testing.T) {
			base, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			root, out := filepath.Join(base, "project"), filepath.Join(base, "outside")
			w, err := Preload(filepath.Join(base, "state")).Open(root, "dist")
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			for _, f := range []string{"project/d/x", "project/e/f", "project/e/s/g", "project/dist/y", "outside/o", "outside/p/q"} {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(base, f)), 0o777); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(base, f), []byte(f), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			place := strings.NewReplacer("OUT", out, "ROOT", root)
			for at, target := range c.links {
				at = place.Replace(at)
				if !filepath.IsAbs(at) {
					at = filepath.Join(root, at)
				}
				if err := os.Symlink(place.Replace(target), at); err != nil {
					t.Skip(err)
				}
			}
			in := Inputs{Follow: true}
			if err := in.Add(w, c.add, c.add); err != nil {
				t.Fatal(err)
			}
			tree, err := Build(in.Files, in.Links, in.Empty)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range tree.Files {
				got = append(got, f.Path)
			}
			for _, l := range tree.Links {
				got = append(got, l.Path+" -> "+l.Target)
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// TestFollowRefuses: a link to a directory around the project would take in
// all of the host.
func TestFollowRefuses(t *testing.T) {
	root := t.TempDir()
	w, err := Preload(t.TempDir()).Open(root, "dist")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := os.Symlink("..", filepath.Join(root, "l")); err != nil {
		t.Skip(err)
	}
	err = (&Inputs{Follow: true}).Add(w, "l", "l")
	if err == nil || !strings.Contains(err.Error(), "holds the project itself") {
		t.Error(err)
	}
}
