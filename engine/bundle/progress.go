package bundle

// The phases of a Progress.
const (
	PhaseHash    = "hash"    // files are read, to know what there is
	PhasePack    = "pack"    // contents are compressed and written
	PhaseVolumes = "volumes" // volumes are written
	PhaseVerify  = "verify"  // blobs are read
	PhaseCheck   = "check"   // import looks at what is there already
	PhaseImport  = "import"  // contents are read and stored
	PhaseFlush   = "flush"   // waiting for the disk
	PhasePublish = "publish" // entries and the reference are written
)

// A Progress is how far an operation is. Bytes and Total count what is read;
// Total does not change within a phase.
type Progress struct {
	Phase             string
	Bytes, Total      int64
	Files, TotalFiles int
}

// A ProgressFunc is told now and then, by one goroutine at a time. It must
// return soon. Nil is allowed.
type ProgressFunc func(Progress)
