package linuxpkg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	nfpmapk "github.com/goreleaser/nfpm/v2/apk"
	nfpmarch "github.com/goreleaser/nfpm/v2/arch"
	nfpmdeb "github.com/goreleaser/nfpm/v2/deb"
	nfpmrpm "github.com/goreleaser/nfpm/v2/rpm"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
)

// packagers are nfpm's, by format.
var packagers = map[string]nfpm.PackagerWithExtension{
	deb: nfpmdeb.Default, rpm: nfpmrpm.DefaultRPM, apk: nfpmapk.Default, archlinux: nfpmarch.Default,
}

// runTool writes the packages of a spec.
func runTool(ctx context.Context, call *engine.ToolCall, sp *spec) (err error) {
	// nfpm reads files by name, so what goes in is laid out for it.
	stage, err := os.MkdirTemp(call.Dir, ".package-")
	if err != nil {
		return fmt.Errorf("make packages: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(stage)) }()
	for _, p := range sp.Packages {
		l := &layout{ctx: ctx, in: call.In, dir: filepath.Join(stage, p.Format), mtime: time.Unix(sp.Time, 0).UTC(), p: &p}
		if err := write(call, l); err != nil {
			return fmt.Errorf("make package %s: %w", p.Output, err)
		}
	}
	return nil
}

func write(call *engine.ToolCall, l *layout) error {
	info, err := l.info()
	if err != nil {
		return err
	}
	if l.p.Signature != nil {
		if err := sign(call, l, info); err != nil {
			return err
		}
	}
	if err := l.ctx.Err(); err != nil {
		return err
	}
	name := filepath.Join(call.Dir, filepath.FromSlash(l.p.Output))
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	if l.p.Format == archlinux {
		err = packageArch(info, file)
	} else {
		err = packagers[l.p.Format].Package(info, file)
	}
	return errors.Join(strip(err, l.dir), file.Close())
}

// strip takes the place of the layout out of an error, so that the log says
// the same on every host.
func strip(err error, dir string) error {
	if err == nil || !strings.Contains(err.Error(), dir) {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), ""))
}

// sign hands nfpm the function that signs.
func sign(call *engine.ToolCall, l *layout, info *nfpm.Info) error {
	keys, err := tasks.Private[signers](call)
	if err != nil {
		return err
	}
	s, err := keys.of(l.p.Format)
	if err != nil {
		return err
	}
	key, err := s.open()
	if err != nil {
		return fmt.Errorf("%s: %w", s.place, err)
	}
	if k, ok := key.(*pgpKey); ok {
		k.when = l.mtime
	}
	fmt.Fprintf(call.Log, "%s: signed with key %s\n", filepath.Base(l.p.Output), key.fingerprint())
	fn := func(r io.Reader) ([]byte, error) {
		var data bytes.Buffer
		if _, err := data.ReadFrom(r); err != nil {
			return nil, err
		}
		return key.sign(data.Bytes())
	}
	switch l.p.Format {
	case deb:
		info.Deb.Signature.SignFn, info.Deb.Signature.Type = fn, l.p.Signature.Role
	case rpm:
		info.RPM.Signature.SignFn = fn
	case apk:
		info.APK.Signature.SignFn, info.APK.Signature.KeyName = fn, l.p.Signature.KeyName
	}
	return nil
}
