package action

// Damaged reports a store entry that did not hold what its name says. It was
// discarded, or at least not used; the step is a miss. It lives here because every
// store reports it and stores do not know the engine.
type Damaged struct {
	What   string // "blob" or "entry"
	Digest Digest
	Reason string
	// Kept is why it could not be removed; empty if it was.
	Kept string
}

// Fate says what became of it: "discarded", or why it is still there.
func (d *Damaged) Fate() string {
	if d.Kept == "" {
		return "discarded"
	}
	return "it could not be removed: " + d.Kept
}

func (d *Damaged) Error() string {
	return "damaged " + d.What + " " + d.Digest.Hex()[:12] + ": " + d.Reason
}
