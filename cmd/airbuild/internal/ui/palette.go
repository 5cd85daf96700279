package ui

import "github.com/fatih/color"

// A Palette paints text, or leaves it as it is. The zero Palette does not paint.
type Palette struct{ on bool }

// NewPalette returns a palette that paints if on.
func NewPalette(on bool) Palette { return Palette{on} }

// On reports whether the palette paints.
func (p Palette) On() bool { return p.on }

// The paints. They do not nest.
func (p Palette) Bold(s string) string   { return p.paint(s, color.Bold) }
func (p Palette) Dim(s string) string    { return p.paint(s, color.Faint) }
func (p Palette) Red(s string) string    { return p.paint(s, color.Bold, color.FgRed) }
func (p Palette) Green(s string) string  { return p.paint(s, color.FgGreen) }
func (p Palette) Yellow(s string) string { return p.paint(s, color.FgYellow) }
func (p Palette) Cyan(s string) string   { return p.paint(s, color.FgCyan) }

// paint leaves the choice to the palette: the library's own is of the whole
// process, and looks at standard output only.
func (p Palette) paint(s string, attrs ...color.Attribute) string {
	if !p.on || s == "" {
		return s
	}
	c := color.New(attrs...)
	c.EnableColor()
	return c.Sprint(s)
}
