package binary

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// A CacheEntry is a line of the GNU loader's cache, /etc/ld.so.cache.
type CacheEntry struct {
	Name  string // "libc.so.6"
	Path  string // absolute
	Flags uint32 // kind of C library and architecture
	Hwcap uint64 // not 0: for certain processors only
}

const (
	cacheOld = "ld.so-1.7.0\x00"
	cacheNew = "glibc-ld.so.cache1.1"
)

// ParseCache reads a cache in the format that glibc writes since 2.2, also where
// it comes behind one of the old format. The bytes are not trusted.
func ParseCache(data []byte) ([]CacheEntry, error) {
	if bytes.HasPrefix(data, []byte(cacheOld)) {
		i := bytes.Index(data, []byte(cacheNew))
		if i < 0 {
			return nil, errors.New("ld.so.cache: only the format of glibc before 2.2")
		}
		data = data[i:]
	}
	const head, entry = 48, 24
	if !bytes.HasPrefix(data, []byte(cacheNew)) || len(data) < head {
		return nil, errors.New("ld.so.cache: no known format")
	}
	var order binary.ByteOrder = binary.LittleEndian
	if data[28]&3 == 3 {
		order = binary.BigEndian
	}
	count := uint64(order.Uint32(data[20:]))
	if count > uint64(len(data)-head)/entry {
		return nil, fmt.Errorf("ld.so.cache: %d entries in %d bytes", count, len(data))
	}
	var entries []CacheEntry
	total := 0
	for i := range count {
		e := data[head+i*entry:]
		c := CacheEntry{
			Flags: order.Uint32(e), Hwcap: order.Uint64(e[16:]),
			Name: stringAt(data, uint64(order.Uint32(e[4:]))), Path: stringAt(data, uint64(order.Uint32(e[8:]))),
		}
		if total += len(c.Name) + len(c.Path); total > maxStrings { // they may overlap
			return nil, errors.New("ld.so.cache: its names are too long")
		}
		if c.Name != "" && c.Path != "" {
			entries = append(entries, c)
		}
	}
	return entries, nil
}
