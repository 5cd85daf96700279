package bundling

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/tasks"
)

// namedKeys are the public halves of the keys that steps of the targets look up
// by name: without them the other side finds no signature in its cache. They
// are not carried, because a bundle cannot vouch for them: the other side is
// told which to trust.
func (c *Builder) namedKeys() (map[string]sign.PublicKey, error) {
	keys := map[string]sign.PublicKey{}
	ring := c.o.Keyring
	if ring == nil {
		return keys, nil // the steps say so, if they need one
	}
	for _, id := range c.Plan.Graph.Closure(c.Steps) {
		for _, name := range tasks.KeyNames(&c.Plan.Graph.Steps[id]) {
			e, err := ring.Find(name)
			if errors.Is(err, sign.ErrNoKey) {
				continue // the step has failed, or is left out
			}
			if err == nil && e.Key.IsZero() {
				err = e.Err
			}
			if err != nil {
				return nil, fmt.Errorf("find key %s: %w", name, err)
			}
			keys[name] = e.Key
		}
	}
	return keys, nil
}

// keysText are the keys as the bundle's metadata has them: "NAME=ID", sorted.
func keysText(keys map[string]sign.PublicKey) string {
	words := lists.Map(slices.Sorted(maps.Keys(keys)), func(name string) string { return fmt.Sprintf("%s=%s", name, keys[name].ID()) })
	return strings.Join(words, " ")
}

// LackingKeys says which of the keys in a bundle's metadata this host does not
// have under their names.
func LackingKeys(ring *sign.Keyring, text string) (needs []string) {
	for _, word := range strings.Fields(text) {
		name, id, _ := strings.Cut(word, "=")
		if sign.CheckKeyName(name) != nil {
			continue // whoever wrote that, it is no key's name
		}
		e, err := ring.Find(name)
		switch {
		case err == nil && e.Key.ID().String() == id:
		case err == nil:
			needs = append(needs, fmt.Sprintf("steps were signed with key %s, which is called %q there; here that name is key %s, so they would be signed again", id, name, e.Key.ID()))
		default:
			needs = append(needs, fmt.Sprintf("steps were signed with key %s; to take their results from the cache: airbuild key trust FILE --name %s", id, name))
		}
	}
	return needs
}
