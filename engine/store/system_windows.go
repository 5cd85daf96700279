package store

import (
	"io/fs"
	"strconv"
	"syscall"
	"time"
)

// fileIdentity tells a file from a copy of it by when it was made.
func fileIdentity(info fs.FileInfo) string {
	return strconv.FormatInt(changed(info).UnixNano(), 10)
}

// changed returns when the file was made. The modification time of a blob
// does not tell: it is the mark.
func changed(info fs.FileInfo) time.Time {
	st, ok := info.Sys().(*syscall.Win32FileAttributeData)
	if !ok {
		return info.ModTime()
	}
	return time.Unix(0, st.CreationTime.Nanoseconds())
}
