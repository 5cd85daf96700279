package bundle

import (
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/bundle/internal/media"
	"github.com/airbuild/airbuild/engine/bundle/internal/progress"
)

// What the packages of bundles have in common.
type (
	Root          = format.Root
	RootBlob      = format.RootBlob
	RootIndex     = format.RootIndex
	RootComponent = format.RootComponent
	RootBase      = format.RootBase
	File          = format.File
	Receipt       = format.Receipt
	Damage        = format.Damage
	Media         = media.Media
	Blob          = media.Blob
	Progress      = progress.Progress
	ProgressFunc  = progress.Func
)

// Errors say what is wrong with a bundle, a volume, a receipt or a custody log.
// All but ErrSpace wrap ErrRefused.
var (
	ErrRefused  = format.ErrRefused
	ErrUnsigned = format.ErrUnsigned
	ErrOlder    = format.ErrOlder
	ErrBase     = format.ErrBase
	ErrMissing  = format.ErrMissing
	ErrSpace    = format.ErrSpace
)

// The phases of a Progress.
const (
	PhaseHash    = progress.PhaseHash
	PhasePatch   = progress.PhasePatch
	PhasePack    = progress.PhasePack
	PhaseVolumes = progress.PhaseVolumes
	PhaseVerify  = progress.PhaseVerify
	PhaseCheck   = progress.PhaseCheck
	PhaseImport  = progress.PhaseImport
	PhaseFlush   = progress.PhaseFlush
	PhasePublish = progress.PhasePublish
)

// Sizes that bundles are made with where nothing else is said, in bytes.
const (
	DefaultPackSize   = format.DefaultPackSize
	DefaultVolumeSize = format.DefaultVolumeSize
)

// CheckPath refuses paths that are not relative, slash-separated and below
// their root on every system that airbuild runs on.
func CheckPath(p string) error { return format.CheckPath(p) }

// CheckComponentName refuses names of components that are not one of the kinds
// in docs/formats.md.
func CheckComponentName(name string) error { return format.CheckComponentName(name) }
