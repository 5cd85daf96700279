package linuxpkg

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"time"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/files"
)

// A layout puts what goes into one package into files of one directory, with
// the package's time.
type layout struct {
	ctx   context.Context
	in    fs.FS
	dir   string
	mtime time.Time
	p     *pkg
	count int // of files so far; they are numbered
	list  files.Contents
}

// info lays out everything and describes it to nfpm.
func (l *layout) info() (*nfpm.Info, error) {
	if err := os.MkdirAll(l.dir, 0o777); err != nil {
		return nil, err
	}
	i := l.p.info(l.mtime.Unix())
	for _, add := range []func(*nfpm.Info) error{l.contents, l.units, l.license, l.changelog, l.lintian, l.scripts} {
		if err := add(i); err != nil {
			return nil, err
		}
	}
	i.Contents = l.list
	return i, nil
}

// nfpmTypes are nfpm's names of the types of content. What only an rpm has
// words for is a plain file elsewhere.
var nfpmTypes = map[string]string{
	"": files.TypeFile, typeConfig: files.TypeConfig, typeNoReplace: files.TypeConfigNoReplace, typeMissingOK: files.TypeConfigMissingOK,
	typeDir: files.TypeDir, typeSymlink: files.TypeSymlink, typeDoc: files.TypeRPMDoc, typeLicense: files.TypeRPMLicense, typeGhost: files.TypeRPMGhost,
}

func (l *layout) contents(*nfpm.Info) error {
	for _, c := range l.p.Contents {
		if err := l.content(c); err != nil {
			return fmt.Errorf("add %s: %w", c.Dst, err)
		}
	}
	return nil
}

func (l *layout) content(c content) error {
	if c.Type == typeSymlink || c.Type == typeDir || c.Type == typeGhost {
		l.add(c, c.Target, 0, nil)
		return nil
	}
	info, err := fs.Lstat(l.in, c.Src)
	if err != nil {
		return err
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := fs.ReadLink(l.in, c.Src)
		c.Type = typeSymlink
		l.add(c, target, 0, nil)
		return err
	case info.IsDir():
		return l.tree(c)
	}
	name, err := l.copy(c.Src)
	l.add(c, name, info.Size(), info)
	return err
}

// tree adds a directory with all that is below it.
func (l *layout) tree(c content) error {
	list, err := fs.ReadDir(l.in, c.Src)
	if err != nil {
		return err
	}
	dir := c
	dir.Type, dir.Mode = typeDir, ""
	l.add(dir, "", 0, nil)
	for _, d := range list {
		below := c
		below.Src, below.Dst = path.Join(c.Src, d.Name()), path.Join(c.Dst, d.Name())
		if err := l.content(below); err != nil {
			return err
		}
	}
	return nil
}

// add describes one thing, completely: what nfpm is not told it asks of the
// host. A link has a size for that reason alone, and no format writes it.
func (l *layout) add(c content, src string, size int64, info fs.FileInfo) {
	mode := fs.FileMode(0o644)
	switch {
	case c.Type == typeSymlink:
		mode, size = 0o777, 1
	case c.Mode != "":
		m, _ := strconv.ParseUint(c.Mode, 8, 16) // as the plan wrote it
		mode = fs.FileMode(m)
	case c.Type == typeDir, info != nil && info.Mode()&0o111 != 0:
		mode = 0o755
	}
	typ := nfpmTypes[c.Type]
	if l.p.Format != rpm && (c.Type == typeDoc || c.Type == typeLicense) {
		typ = files.TypeFile
	}
	l.list = append(l.list, &files.Content{
		Source: src, Destination: c.Dst, Type: typ,
		FileInfo: &files.ContentFileInfo{Owner: orRoot(c.Owner), Group: orRoot(c.Group), Mode: mode, MTime: l.mtime, Size: size},
	})
}

func orRoot(name string) string {
	if name == "" {
		return "root"
	}
	return name
}

// copy puts a file of the input root into the layout.
func (l *layout) copy(src string) (string, error) {
	if err := l.ctx.Err(); err != nil {
		return "", err
	}
	in, err := l.in.Open(src)
	if err != nil {
		return "", err
	}
	defer in.Close()
	name := l.next()
	out, err := os.Create(name)
	if err != nil {
		return "", err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return "", err
	}
	if err := out.Close(); err != nil {
		return "", err
	}
	return name, os.Chtimes(name, l.mtime, l.mtime)
}

// text puts a text into the layout.
func (l *layout) text(content []byte) (string, error) {
	name := l.next()
	if err := os.WriteFile(name, content, 0o666); err != nil {
		return "", err
	}
	return name, os.Chtimes(name, l.mtime, l.mtime)
}

func (l *layout) next() string {
	l.count++
	return filepath.Join(l.dir, strconv.Itoa(l.count))
}

// file adds a text as a file of the package.
func (l *layout) file(c content, text []byte) error {
	name, err := l.text(text)
	l.add(c, name, int64(len(text)), nil)
	return err
}

func (l *layout) units(*nfpm.Info) error {
	for _, u := range l.p.Units {
		if err := l.content(content{Src: u.Src, Dst: unitDir + u.Name, Mode: "0644"}); err != nil {
			return fmt.Errorf("add unit %s: %w", u.Name, err)
		}
	}
	return nil
}

// license puts the licence's text where the format's users look for it.
func (l *layout) license(*nfpm.Info) error {
	if l.p.LicenseFile == "" {
		return nil
	}
	c := content{Src: l.p.LicenseFile, Dst: "/usr/share/licenses/" + l.p.Name + "/" + path.Base(l.p.LicenseFile), Type: typeLicense, Mode: "0644"}
	if l.p.Format == deb {
		c.Dst = "/usr/share/doc/" + l.p.Name + "/copyright"
	}
	return l.content(c)
}

func (l *layout) lintian(*nfpm.Info) error {
	if len(l.p.Lintian) == 0 {
		return nil
	}
	text := ""
	for _, tag := range l.p.Lintian {
		text += l.p.Name + ": " + tag + "\n"
	}
	return l.file(content{Dst: "/usr/share/lintian/overrides/" + l.p.Name}, []byte(text))
}

// scripts adds the scripts of the user and of the units.
func (l *layout) scripts(i *nfpm.Info) error {
	place := map[string]*string{
		preInstall: &i.Scripts.PreInstall, postInstall: &i.Scripts.PostInstall,
		preRemove: &i.Scripts.PreRemove, postRemove: &i.Scripts.PostRemove,
		preTrans: &i.RPM.Scripts.PreTrans, postTrans: &i.RPM.Scripts.PostTrans,
		preUpgrade: &i.APK.Scripts.PreUpgrade, postUpgrade: &i.APK.Scripts.PostUpgrade,
	}
	if l.p.Format == archlinux {
		place[preUpgrade], place[postUpgrade] = &i.ArchLinux.Scripts.PreUpgrade, &i.ArchLinux.Scripts.PostUpgrade
	}
	user := map[string]string{}
	for _, s := range l.p.Scripts {
		b, err := fs.ReadFile(l.in, s.Path)
		if err != nil {
			return fmt.Errorf("read %s script: %w", s.Name, err)
		}
		user[s.Name] = string(b)
	}
	for _, name := range scriptNames {
		text, err := combine(name, user[name], unitScript(l.p.Format, name, l.p.Units))
		if err != nil {
			return err
		}
		if text == "" {
			continue
		}
		if *place[name], err = l.text([]byte(text)); err != nil {
			return err
		}
	}
	return nil
}
