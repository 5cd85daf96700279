package closure

import (
	"cmp"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// pkgConfig asks pkg-config for the flags of the package's #cgo pkg-config
// lines, as the go command will, and takes the files that they come from.
func (s *cgoSearch) pkgConfig() (cflags, libs []string) {
	var args, pkgs []string
	for _, a := range s.p.CgoPkgConfig {
		switch {
		case a == "--":
		case strings.HasPrefix(a, "--"):
			args = append(args, a)
		default:
			pkgs = append(pkgs, a)
		}
	}
	if len(pkgs) == 0 {
		return nil, nil
	}
	prog := []string{s.value("PKG_CONFIG")}
	prog[0] = cmp.Or(prog[0], "pkg-config")
	ask := func(what string) []string {
		said, err := s.run(prog, append(append([]string{what}, args...), append([]string{"--"}, pkgs...)...))
		if err != nil {
			s.lose("pkg-config knows no flags of %s: %s", strings.Join(pkgs, " "), gocmd.FirstLine(said, err))
			return nil
		}
		flags := strings.ReplaceAll(said, s.g.files.Root(), ".") // no key holds the project's place
		s.texts = append(s.texts, "pkg-config "+what+" "+strings.Join(strings.Fields(flags), " "))
		return s.shellWords(said)
	}
	cflags, libs = ask("--cflags"), ask("--libs")
	if s.lost == "" {
		s.pcFiles(prog, pkgs)
	}
	return cflags, libs
}

// shellWords splits what pkg-config prints: blanks with a backslash or inside
// quotes are part of a word.
func (s *cgoSearch) shellWords(text string) []string {
	var out []string
	var word strings.Builder
	quote, some := byte(0), false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, some = c, true
		case c == '\\' && quote != '\'' && i+1 < len(text):
			i++
			word.WriteByte(text[i])
		case quote == 0 && strings.IndexByte(" \t\n\r", c) >= 0:
			if some || word.Len() > 0 {
				out = append(out, word.String())
			}
			word.Reset()
			some = false
		default:
			word.WriteByte(c)
		}
	}
	if some || word.Len() > 0 {
		out = append(out, word.String())
	}
	return out
}

// pcFiles takes the .pc files of packages and of all that they require. The
// answer also depends on those that may appear in an earlier directory.
func (s *cgoSearch) pcFiles(prog, pkgs []string) {
	dirs := filepath.SplitList(s.value("PKG_CONFIG_PATH"))
	if own := s.value("PKG_CONFIG_LIBDIR"); own != "" {
		dirs = append(dirs, filepath.SplitList(own)...)
	} else if said, err := s.run(prog, []string{"--variable=pc_path", "pkg-config"}); err == nil {
		dirs = append(dirs, filepath.SplitList(strings.TrimSpace(said))...)
	}
	seen := map[string]bool{}
	for queue := pkgs; len(queue) > 0; queue = queue[1:] {
		name := queue[0]
		if seen[name] {
			continue
		}
		seen[name] = true
		file := name + ".pc"
		if strings.HasSuffix(name, ".pc") {
			file = name
		}
		for _, d := range dirs {
			dir := s.resolve(s.name, d)
			at := s.resolve(dir, file)
			if s.take(at) {
				delete(s.deps, at) // what it says is in the flags
				text, err := os.ReadFile(s.abs(at))
				if err == nil {
					queue = append(queue, requires(string(text))...)
				}
				break
			}
			s.dirs[dir] = allNames
			s.absent(path.Dir(at), path.Base(at))
		}
	}
}

// requires are the packages that a .pc file names in its Requires lines.
func requires(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		key, list, ok := strings.Cut(line, ":")
		if !ok || !strings.HasPrefix(strings.TrimSpace(key), "Requires") {
			continue
		}
		skip := false
		for _, word := range strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }) {
			switch {
			case skip:
				skip = false
			case strings.Trim(word, "<>=!") == "":
				skip = true
			default:
				out = append(out, word)
			}
		}
	}
	return out
}
