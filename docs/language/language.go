// Package language holds the rules for every text that a user of airbuild
// reads (README, docs, help, messages, reports), and finds what breaks them.
//
// The reader knows Go, Docker and Terraform. Every sentence must be ordinary to
// them:
//
//   - The subject comes first. Verbs are those of the trade: build, run, cache,
//     depend, verify, import, skip, report.
//   - One term for one thing, the field's own: cache key, cache hit, digest,
//     input, output, step, dependency, manifest, lock file.
//   - "is not a file", not "is no file"; "must be" and "requires", not "wants".
//   - A line of help starts with an imperative: "Run pipelines", "print the plan".
//   - An error is lower case and says what failed, on what, why, and what to do.
//   - No riddles. "What it is made of" is "the files that it is built from".
//
// [Phrases] lists the expressions that give a text away as translated. They are
// not wrong in every sentence, so tests limit their rate instead of banning them.
package language

import (
	"regexp"
	"strings"
)

// A Phrase is an expression to avoid.
type Phrase struct {
	Name    string // the expression, as people call it
	Pattern *regexp.Regexp
	Use     string         // what to write instead
	Not     *regexp.Regexp // if not nil: what the pattern also finds, and is right
}

// start is the beginning of a sentence, of an item or of a table's cell.
const start = `(?:^|\n[\t >]*|[.:;!?|] |[-*] )`

// Phrases are the expressions to avoid. Their patterns are matched against text
// whose line breaks are blanks, except between paragraphs.
var Phrases = []Phrase{
	{"is no X", regexp.MustCompile(`(?i)\b(?:there (?:must |may |can |will )?)?(?:is|are|was|were|be) no \w+`), `"is not a X"`, regexp.MustCompile(`(?i)^there|no (?:longer|more)$`)},
	{"tell", regexp.MustCompile(`(?i)\b(?:tell|tells|told|telling)\b`), "report, show, print, say", nil},
	{"is there", regexp.MustCompile(`(?i)\b(?:is|are|was|were|be|already) (?:there|here)\b(?:[.,;:)]|$| (?:already|and|or|but|alone|to|in|for|with)\b)|\bwhat there is\b`), "exists, is present, is available", nil},
	{"beside", regexp.MustCompile(`(?i)\bbesides?\b`), "next to, in addition to", nil},
	{"hangs on", regexp.MustCompile(`(?i)\b(?:hang|hangs|hung) on\b`), "depends on", nil},
	{"anew", regexp.MustCompile(`(?i)\banew\b|\bonce more\b`), "again, re-", nil},
	{"hold against", regexp.MustCompile(`(?i)\b(?:hold|holds|held|holding)(?: (?:it|them|each|this))? against\b`), "compare with, check against", nil},
	{"mend", regexp.MustCompile(`(?i)\b(?:mend|mends|mended|mending)\b`), "fix", nil},
	{"one a step", regexp.MustCompile(`(?i)\b(?:one|once|twice|times|a (?:line|file|platform|case|key|folder|page)) an? (?:step|cell|request|run|processor|platform|line|package|family|host|file|stage|test|blob|command|minute|second|release)\b`), "one per step", nil},
	{"who asks", regexp.MustCompile(`(?i)\bwhoever\b|(?:` + start + `|\b(?:for|to|by|from|of|let|and|what|is|says|allow) )who (?:asks?|has|have|wants?|needs?|must|may|can|knows|tried|gets|uses|takes|makes|builds|reads)\b`), "clients that, users with", nil},
	{"fronted Of", regexp.MustCompile(start + `Of (?:an?|the|each|its|all|these|such|several|what)\b`), "subject first", nil},
	{"bare What", regexp.MustCompile(start + `What (?:[^.?!:|#\n]|\.[^ \n])*(?:[.!:|]|$)`), "name the thing", nil},
	{"come to", regexp.MustCompile(`(?i)\b(?:comes?|came) (?:to|of|in)\b`), "results in, outcome, is imported", nil},
	{"wants", regexp.MustCompile(`(?i)\bwants\b`), "requires, needs", nil},
	{"but for", regexp.MustCompile(`(?i)\bbut for\b`), "except", nil},
	{"go on", regexp.MustCompile(`\b(?:go|[Gg]oes|[Ww]ent|[Gg]oing) on\b`), "continue", nil},
	{"do without", regexp.MustCompile(`(?i)\b(?:do|does|did) without\b`), "run without, not need", nil},
	{"take in", regexp.MustCompile(`(?i)\b(?:take|takes|took|taken|taking) in\b`), "import", nil},
	{"all the same", regexp.MustCompile(`(?i)\ball the same\b`), "still, nevertheless", nil},
}

// A Hit is a place in a text that holds a phrase.
type Hit struct {
	Phrase *Phrase
	Text   string // what was found, with what surrounds it
}

// Find returns the phrases in a text, and the number of its words.
func Find(text string) (hits []Hit, words int) {
	text = unwrap(text)
	for i := range Phrases {
		p := &Phrases[i]
		for _, at := range p.Pattern.FindAllStringIndex(text, -1) {
			if p.Not != nil && p.Not.MatchString(text[at[0]:at[1]]) {
				continue
			}
			from, to := max(at[0]-40, 0), min(at[1]+40, len(text))
			hits = append(hits, Hit{p, strings.ToValidUTF8(text[from:to], "")})
		}
	}
	return hits, len(strings.Fields(text))
}

// Markdown returns the prose of a page: without blocks of code, code in a line,
// comments and the targets of links.
func Markdown(page string) string {
	for _, not := range notProse {
		page = not.ReplaceAllString(page, "x")
	}
	return page
}

var notProse = []*regexp.Regexp{
	regexp.MustCompile("(?ms)^ *```.*?^ *```$"),
	regexp.MustCompile("(?s)<!--.*?-->"),
	regexp.MustCompile("`[^`\n]*`"),
	regexp.MustCompile(`\]\([^)\s]*\)`),
}

var lineBreak = regexp.MustCompile(`([^\n])\n[\t ]*([^\n\t |#*>-])`)

// unwrap joins the lines of paragraphs.
func unwrap(text string) string {
	for {
		joined := lineBreak.ReplaceAllString(text, "$1 $2")
		if joined == text {
			return text
		}
		text = joined
	}
}
