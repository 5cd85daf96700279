package graphview

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Measures of the picture, in pixels. A character is as wide as in most
// monospaced fonts of fontSize; the picture says that its text is that wide.
const (
	fontSize   = 13
	charWidth  = 8
	boxHeight  = 44
	boxPadding = 12
	wayHeight  = 10 // of an arrow that passes a column
	rowGap     = 14
	columnGap  = 64
	margin     = 16
)

// sweeps is how often the columns are put in order, there and back. More of them
// hardly take further crossings out.
const sweeps = 4

// A spot is a place in a column: a node or, without one, where an arrow passes
// that begins and ends in other columns.
type spot struct {
	node  *Node
	to    []*spot // in the next column
	from  []*spot // in the one before
	order float64
	x, y  int // of the left edge, and of the middle
	width int
}

func (s *spot) height() int {
	if s.node == nil {
		return wayHeight
	}
	return boxHeight
}

// WriteSVG draws a picture that loads nothing and runs no script. What a node
// needs is to the left of it.
func (v *View) WriteSVG(w io.Writer) error {
	columns, spots := v.columns()
	for range sweeps {
		for i := 1; i < len(columns); i++ {
			arrange(columns[i], func(s *spot) []*spot { return s.from })
		}
		for i := len(columns) - 2; i >= 0; i-- {
			arrange(columns[i], func(s *spot) []*spot { return s.to })
		}
	}
	width, height := place(columns)
	var b strings.Builder
	svgHead(&b, width, height)
	for _, column := range columns {
		for _, s := range column {
			if s.node != nil {
				s.arrows(&b)
			}
		}
	}
	for _, n := range v.Nodes {
		spots[n].box(&b)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// columns puts each node one column behind the last of those that it needs, and
// its arrows through the columns between.
func (v *View) columns() ([][]*spot, map[*Node]*spot) {
	var columns [][]*spot
	at, spots := map[*Node]int{}, map[*Node]*spot{}
	add := func(column int, s *spot) *spot {
		for len(columns) <= column {
			columns = append(columns, nil)
		}
		s.order = float64(len(columns[column]))
		columns[column] = append(columns[column], s)
		return s
	}
	for _, n := range v.Nodes { // after those that it needs
		for _, need := range n.Needs {
			at[n] = max(at[n], at[need]+1)
		}
		spots[n] = add(at[n], &spot{node: n})
	}
	for _, n := range v.Nodes {
		for _, need := range n.Needs {
			last := spots[need]
			for column := at[need] + 1; column < at[n]; column++ {
				last = connect(last, add(column, &spot{}))
			}
			connect(last, spots[n])
		}
	}
	return columns, spots
}

func connect(from, to *spot) *spot {
	from.to = append(from.to, to)
	to.from = append(to.from, from)
	return to
}

// arrange sorts a column by the middle of what each spot is connected to on one
// side, so that few arrows cross. Spots that are connected to nothing there, and
// equals, keep their order.
func arrange(column []*spot, side func(*spot) []*spot) {
	middle := map[*spot]float64{}
	for _, s := range column {
		middle[s] = s.order
		if others := side(s); len(others) > 0 {
			sum := 0.0
			for _, o := range others {
				sum += o.order
			}
			middle[s] = sum / float64(len(others))
		}
	}
	slices.SortStableFunc(column, func(a, b *spot) int { return cmp.Compare(middle[a], middle[b]) })
	for i, s := range column {
		s.order = float64(i)
	}
}

// place gives every spot its coordinates and returns the size of the picture.
func place(columns [][]*spot) (width, height int) {
	heights := make([]int, len(columns))
	for i, column := range columns {
		for _, s := range column {
			heights[i] += s.height() + rowGap
		}
		height = max(height, heights[i]-rowGap)
	}
	x := margin
	for i, column := range columns {
		wide := 0
		for _, s := range column {
			if s.node != nil {
				wide = max(wide, 2*boxPadding+charWidth*max(utf8.RuneCountInString(s.node.Name), utf8.RuneCountInString(s.node.label())))
			}
		}
		y := margin + (height-(heights[i]-rowGap))/2
		for _, s := range column {
			s.x, s.y, s.width = x, y+s.height()/2, wide
			y += s.height() + rowGap
		}
		x += wide + columnGap
	}
	return max(x-columnGap, margin) + margin, height + 2*margin
}

func svgHead(b *strings.Builder, width, height int) {
	fmt.Fprintf(b, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\" font-family=\"ui-monospace,Menlo,Consolas,monospace\" font-size=\"%d\">\n",
		width, height, width, height, fontSize)
	b.WriteString(`<title>What needs what</title>
<style>
  .box { fill: #f6f8fa; stroke: #57606a }
  .way { fill: none; stroke: #8c959f; stroke-width: 1.5 }
  .name { fill: #1f2328 }
  .type { fill: #57606a; font-size: 11px }
  .head { fill: #8c959f }
  @media (prefers-color-scheme: dark) {
    .box { fill: #161b22; stroke: #8b949e }
    .name { fill: #e6edf3 }
    .type { fill: #8b949e }
  }
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path class="head" d="M0 0L8 4L0 8z"/></marker></defs>
`)
}

// arrows draws what goes out from a node, each to the node where it ends.
func (s *spot) arrows(b *strings.Builder) {
	for _, to := range s.to {
		fmt.Fprintf(b, "<path class=\"way\" marker-end=\"url(#head)\" d=\"M%d %d", s.x+s.width, s.y)
		for from := s; ; from, to = to, to.to[0] {
			x0, bend := from.x+from.width, columnGap/2
			fmt.Fprintf(b, "C%d %d %d %d %d %d", x0+bend, from.y, to.x-bend, to.y, to.x, to.y)
			if to.node != nil {
				break
			}
			fmt.Fprintf(b, "H%d", to.x+to.width)
		}
		b.WriteString("\"/>\n")
	}
}

func (s *spot) box(b *strings.Builder) {
	fmt.Fprintf(b, "<rect class=\"box\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"5\"/>\n", s.x, s.y-boxHeight/2, s.width, boxHeight)
	s.line(b, "name", s.y-3, s.node.Name)
	s.line(b, "type", s.y+14, s.node.label())
}

func (s *spot) line(b *strings.Builder, class string, y int, text string) {
	fmt.Fprintf(b, "<text class=\"%s\" x=\"%d\" y=\"%d\">", class, s.x+boxPadding, y)
	_ = xml.EscapeText(b, []byte(text)) // a Builder takes everything
	b.WriteString("</text>\n")
}
