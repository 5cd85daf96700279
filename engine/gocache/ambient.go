package gocache

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/airbuild/airbuild/engine/action"
)

// The go command's own cache (cmd/go/internal/cache) is a directory with
//
//	ab/<ActionID>-a   "v1 <ActionID> <OutputID> <size> <time>\n": hashes in
//	                  hexadecimal, numbers in decimal and padded with blanks
//	                  on the left to 20 bytes, the time in ns since 1970
//	ab/<OutputID>-d   the object; a directory if it is an executable
const ambientEntry = len("v1 ") + 2*(64+1) + 2*(20+1)

// adopt takes an entry over from the user's own cache: a host that has built
// the project by hand need not compile it again. The copy costs the object's
// size once, where the file system cannot clone. Damage there is a miss, and
// not ours to fix. Where salts tell entries apart, only indexes and packages of
// Go alone are taken: no other entry says for which files it holds.
func (s *Server) adopt(ctx context.Context, id ActionID) (e Entry, ok bool) {
	if s.Ambient == "" {
		return e, false
	}
	e, err := readAmbient(s.Ambient, id)
	if err != nil {
		return e, false
	}
	name := ambientName(s.Ambient, e.Object.Hash, "d")
	if info, err := os.Lstat(name); err != nil || !info.Mode().IsRegular() || info.Size() != e.Object.Size {
		return e, false
	}
	got, err := s.Store.PutFile(ctx, name, e.Object)
	if err != nil || got != e.Object {
		return e, false
	}
	head, err := readHead(s.Store.BlobFile(e.Object))
	if err != nil {
		return e, false
	}
	e.Kind = kindOf(head)
	if s.checked(e) {
		return e, false
	}
	if len(s.Salts) > 0 && e.Kind != Index && !goOnly(s.Store.BlobFile(e.Object)) {
		return e, false
	}
	if err := s.Store.PutResult(ctx, e.Key(), e.result()); err != nil {
		s.trouble("store package", err)
		return e, false
	}
	return e, true
}

func ambientName(dir string, hash [32]byte, suffix string) string {
	name := hex.EncodeToString(hash[:])
	return filepath.Join(dir, name[:2], name+"-"+suffix)
}

// readAmbient reads the entry of id in the go command's cache. Its Kind is not
// known yet.
func readAmbient(dir string, id ActionID) (Entry, error) {
	f, err := os.Open(ambientName(dir, id, "a"))
	if err != nil {
		return Entry{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(ambientEntry)+1))
	if err != nil {
		return Entry{}, err
	}
	return parseAmbient(id, string(b))
}

func parseAmbient(id ActionID, line string) (Entry, error) {
	bad := func(what string) (Entry, error) { return Entry{}, fmt.Errorf("entry %.12s: bad %s", id, what) }
	f := strings.Fields(line)
	if len(line) != ambientEntry || line[len(line)-1] != '\n' || len(f) != 5 || f[0] != "v1" {
		return bad("form")
	}
	own, err := action.ParseHash(f[1])
	if err != nil || own != id {
		return bad("id")
	}
	object, err := action.ParseHash(f[2])
	if err != nil {
		return bad("object")
	}
	size, err := strconv.ParseInt(f[3], 10, 64)
	if err != nil || size < 0 {
		return bad("size")
	}
	ns, err := strconv.ParseInt(f[4], 10, 64)
	if err != nil || ns < 0 {
		return bad("time")
	}
	return Entry{ID: id, Object: action.Digest{Hash: object, Size: size}, Time: time.Unix(0, ns)}, nil
}

// readHead returns what kindOf wants of a file.
func readHead(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, kindHead)
	n, err := io.ReadFull(f, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return head[:n], err
}
