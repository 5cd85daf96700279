package tasks

import (
	"fmt"

	"github.com/agext/levenshtein"
)

// DidYouMean is ` Did you mean "x"?` for the known word that is nearest to an
// unknown one, or "" if none is near. Of several the first counts.
func DidYouMean(word string, known []string) string {
	best, least := "", 1+len(word)/3
	for _, k := range known {
		if d := levenshtein.Distance(word, k, nil); d <= least && (best == "" || d < least) {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" Did you mean %q?", best)
}
