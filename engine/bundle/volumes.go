package bundle

import "github.com/airbuild/airbuild/engine/bundle/internal/progress"

// VolumeOptions say how volumes are made.
type VolumeOptions struct {
	Size     int64  // of one volume at most, in bytes; zero: DefaultVolumeSize
	Name     string // of the files; empty: the bundle's name
	Progress progress.Func
}
