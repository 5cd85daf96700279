package ui

// A Palette paints text, or leaves it as it is. The zero Palette does not paint.
type Palette struct{ on bool }

// NewPalette returns a palette that paints if on.
func NewPalette(on bool) Palette { return Palette{on} }

// On reports whether the palette paints.
func (p Palette) On() bool { return p.on }

// The paints. They do not nest.
func (p Palette) Bold(s string) string   { return p.paint("1", s) }
func (p Palette) Dim(s string) string    { return p.paint("2", s) }
func (p Palette) Red(s string) string    { return p.paint("1;31", s) }
func (p Palette) Green(s string) string  { return p.paint("32", s) }
func (p Palette) Yellow(s string) string { return p.paint("33", s) }
func (p Palette) Cyan(s string) string   { return p.paint("36", s) }

func (p Palette) paint(code, s string) string {
	if !p.on || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
