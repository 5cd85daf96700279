package sign

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/airbuild/airbuild/engine"
	signing "github.com/airbuild/airbuild/engine/sign"
)

// maxInline bounds files that an envelope holds, in bytes: they are in memory.
const maxInline = 40 << 20

// A tool signs the files of a spec. Each is read once.
type tool struct{ cfg *Config }

func (t tool) run(ctx context.Context, call *engine.ToolCall, sp *spec) error {
	if len(sp.Files) == 0 || len(sp.Files[0].outputs()) == 0 {
		return errors.New("read spec: there is nothing to sign")
	}
	key, err := t.cfg.Key(ctx, call)
	if err != nil {
		return err
	}
	for _, f := range sp.Files {
		if err := f.sign(ctx, call, key); err != nil {
			return fmt.Errorf("sign %s: %w", f.File, err)
		}
	}
	_, err = fmt.Fprintf(call.Log, "signed with key %s\n", key.Public().ID())
	return err
}

func (f file) sign(ctx context.Context, call *engine.ToolCall, key *signing.SecretKey) error {
	in, err := call.In.Open(f.File)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("it is a directory; name its files, or put it into an archive and sign that")
	case f.PayloadType != "":
		return f.inline(ctx, call, key, in, info)
	}
	sum := sha256.New()
	s, err := signing.Sign(ctx, key, io.TeeReader(in, sum), f.Comment)
	if err != nil {
		return err
	}
	if f.Minisig != "" {
		if err := write(call, f.Minisig, s.File()); err != nil {
			return err
		}
	}
	if f.DSSE == "" {
		return nil
	}
	statement, err := signing.FileStatement(path.Base(f.File), [sha256.Size]byte(sum.Sum(nil)), f.Comment)
	if err != nil {
		return err
	}
	return signEnvelope(call, f.DSSE, signing.PayloadStatement, statement, key)
}

// inline makes an envelope with the file in it.
func (f file) inline(ctx context.Context, call *engine.ToolCall, key *signing.SecretKey, in io.Reader, info fs.FileInfo) error {
	if info.Size() > maxInline {
		return fmt.Errorf("its %d bytes are too many for an envelope, which may hold %d; leave payload_type out to sign its SHA-256", info.Size(), maxInline)
	}
	var content limited
	s, err := signing.Sign(ctx, key, io.TeeReader(in, &content), f.Comment)
	if err != nil {
		return err
	}
	if f.Minisig != "" {
		if err := write(call, f.Minisig, s.File()); err != nil {
			return err
		}
	}
	return signEnvelope(call, f.DSSE, f.PayloadType, content, key)
}

// limited keeps what is written, up to maxInline.
type limited []byte

func (l *limited) Write(p []byte) (int, error) {
	if len(*l)+len(p) > maxInline {
		return 0, errors.New("it is too long for an envelope")
	}
	*l = append(*l, p...)
	return len(p), nil
}

func signEnvelope(call *engine.ToolCall, name, payloadType string, payload []byte, key *signing.SecretKey) error {
	e, err := signing.NewEnvelope(payloadType, payload, key)
	if err != nil {
		return err
	}
	b, err := e.Encode()
	if err != nil {
		return err
	}
	return write(call, name, b)
}

func write(call *engine.ToolCall, name string, b []byte) error {
	if err := os.WriteFile(filepath.Join(call.Dir, filepath.FromSlash(name)), b, 0o666); err != nil {
		return fmt.Errorf("write signature %s: %w", name, err)
	}
	return nil
}
