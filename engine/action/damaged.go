package action

// Damaged reports a store entry that did not hold what its name says. It was
// thrown away; the step is a miss. It lives here because every store reports
// it and stores do not know the engine.
type Damaged struct {
	What   string // "blob" or "entry"
	Digest Digest
	Reason string
}

func (d *Damaged) Error() string {
	return "damaged " + d.What + " " + d.Digest.Hex()[:12] + ": " + d.Reason
}
