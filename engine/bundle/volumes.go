package bundle

import "context"

// VolumeOptions say how volumes are made.
type VolumeOptions struct {
	Size     int64  // of one volume at most, in bytes; zero: DefaultVolumeSize
	Name     string // of the files; empty: the bundle's name
	Progress ProgressFunc
}

// WriteVolumes writes a bundle as volumes, NAME-001-of-003.tar and so on, and
// returns their paths. The same bundle and size give the same bytes. Each holds
// the root manifest, the signatures and the table of all volumes, so that it
// verifies by itself; unpacked into one directory they are the layout. Every
// blob is verified while it is copied.
//
// On disk: a volume is written to a temporary file, flushed and renamed.
// Volumes that are there whole, of an interrupted WriteVolumes, are kept.
func WriteVolumes(ctx context.Context, b *Bundle, dir string, o VolumeOptions) ([]string, error) {
	return writeVolumes(ctx, b, dir, o)
}
