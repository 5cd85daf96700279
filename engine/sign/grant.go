package sign

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/airbuild/airbuild/internal/canonjson"
	"github.com/airbuild/airbuild/internal/lists"
)

// A Purpose is something that signatures of a key can be accepted for.
type Purpose string

// The purposes. Custody is part of Bundle: who may make bundles may also say
// what became of them.
const (
	Bundle     Purpose = "bundle"     // bundles, and entries of custody logs
	Custody    Purpose = "custody"    // entries of custody logs alone
	Approval   Purpose = "approval"   // approvals of an approval stage
	Release    Purpose = "release"    // signatures of files
	Provenance Purpose = "provenance" // statements of how files were built
)

// Purposes are all of them.
func Purposes() []Purpose { return []Purpose{Approval, Bundle, Custody, Provenance, Release} }

// AnyPurpose is the word for a key that is trusted without a purpose.
const AnyPurpose = "any"

// Limits of a Grant.
const (
	maxSeries     = 1000
	maxSeriesName = 100 // bytes; that of a bundle's name
)

// A Grant is what a key is trusted for. The zero Grant is that of a key that was
// trusted without a purpose: its signatures are accepted for all of them.
type Grant struct {
	Purposes []Purpose // sorted, each once
	Series   []string  // of bundles that the key may sign, sorted; none: all
}

// NewGrant is the grant of a list of purposes and series as users write them.
// AnyPurpose stands alone, and gives the zero Grant.
func NewGrant(purposes, series []string) (Grant, error) {
	var g Grant
	for _, p := range purposes {
		g.Purposes = append(g.Purposes, Purpose(p))
	}
	g.Series = slices.Clone(series)
	slices.Sort(g.Purposes)
	g.Purposes, g.Series = slices.Compact(g.Purposes), lists.Unique(g.Series)
	if len(g.Purposes) == 1 && g.Purposes[0] == AnyPurpose {
		g.Purposes = nil
	}
	return g, g.check()
}

// check refuses what no Grant can be.
func (g Grant) check() error {
	for i, p := range g.Purposes {
		if !slices.Contains(Purposes(), p) {
			return fmt.Errorf("%.40q is not a purpose: want %s, or %s alone", p, joined(Purposes()), AnyPurpose)
		}
		if i > 0 && g.Purposes[i-1] >= p {
			return errors.New("the purposes are out of order")
		}
	}
	if len(g.Series) > 0 && !slices.Contains(g.Purposes, Bundle) {
		return errors.New("a series limits which bundles a key may sign, and needs the purpose bundle")
	}
	if len(g.Series) > maxSeries {
		return fmt.Errorf("%d series are more than %d", len(g.Series), maxSeries)
	}
	for i, s := range g.Series {
		odd := func(r rune) bool { return !unicode.IsPrint(r) || r == ',' || r == '/' }
		if s == "" || len(s) > maxSeriesName || strings.ContainsFunc(s, odd) || s != strings.TrimSpace(s) {
			return fmt.Errorf("%.120q cannot be the name of a series of bundles", s)
		}
		if i > 0 && g.Series[i-1] >= s {
			return errors.New("the series are out of order")
		}
	}
	return nil
}

func joined[T ~string](list []T) string {
	return strings.Join(lists.Map(list, func(x T) string { return string(x) }), ", ")
}

// Any reports whether no purpose was given.
func (g Grant) Any() bool { return len(g.Purposes) == 0 }

// Equal reports whether both say the same.
func (g Grant) Equal(h Grant) bool {
	return slices.Equal(g.Purposes, h.Purposes) && slices.Equal(g.Series, h.Series)
}

// String is the grant in words: "approval, bundle of the series site".
func (g Grant) String() string {
	if g.Any() {
		return "any purpose"
	}
	var words []string
	for _, p := range g.Purposes {
		word := string(p)
		if p == Bundle && len(g.Series) > 0 {
			word += " of the series " + strings.Join(g.Series, ", ")
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

// Allows reports whether a signature counts for n.
func (g Grant) Allows(n Need) bool {
	if g.Any() {
		return true
	}
	if n.Purpose == Custody && slices.Contains(g.Purposes, Custody) {
		return true
	}
	if n.Purpose != Bundle && n.Purpose != Custody {
		return slices.Contains(g.Purposes, n.Purpose)
	}
	return slices.Contains(g.Purposes, Bundle) && (n.Series == "" || len(g.Series) == 0 || slices.Contains(g.Series, n.Series))
}

// Everywhere reports whether the user has said that results which bundles of the
// key bring count for every project: the purpose was given, and no series.
func (g Grant) Everywhere() bool { return slices.Contains(g.Purposes, Bundle) && len(g.Series) == 0 }

// with is the grant that also allows n.
func (g Grant) with(n Need) Grant {
	h := Grant{slices.Clone(g.Purposes), slices.Clone(g.Series)}
	if !slices.Contains(h.Purposes, n.Purpose) && !(n.Purpose == Custody && slices.Contains(h.Purposes, Bundle)) {
		h.Purposes = append(h.Purposes, n.Purpose)
	}
	if len(h.Series) > 0 && n.Series != "" && !slices.Contains(h.Series, n.Series) {
		h.Series = append(h.Series, n.Series)
	}
	slices.Sort(h.Purposes)
	slices.Sort(h.Series)
	return h
}

// Command is the command line that gives a trusted key this grant.
func (g Grant) Command(name string) string {
	purposes := AnyPurpose
	if !g.Any() {
		purposes = strings.ReplaceAll(joined(g.Purposes), ", ", ",")
	}
	line := "airbuild key trust " + name + " --for " + purposes
	if len(g.Series) > 0 {
		line += " --series " + word(strings.Join(g.Series, ","))
	}
	return line
}

// word quotes a text for a shell where that is needed.
func word(s string) string {
	plain := strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-,") == ""
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// A Need is what a signature is to count for.
type Need struct {
	Purpose Purpose
	Series  string // of Bundle and Custody: the bundle's; empty where it is not known yet
}

// String is the need in words.
func (n Need) String() string {
	if n.Series != "" {
		return string(n.Purpose) + " of the series " + n.Series
	}
	return string(n.Purpose)
}

// A LimitError says that a signature is genuine, and by a key that is trusted for
// something else. It is ErrUnverified.
type LimitError struct {
	Name  string // of the key in the keyring
	Key   PublicKey
	Grant Grant
	Need  Need
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("key %s (%s) is trusted for %s, and this needs %s; to accept it: %s",
		e.Name, e.Key.ID(), e.Grant, e.Need, e.Grant.with(e.Need).Command(e.Name))
}

// Is reports whether target is ErrUnverified.
func (e *LimitError) Is(target error) bool { return target == ErrUnverified }

// VerifyAs is Verify where only those keys count that admit returns nil for. It is
// called for keys that signed. With too few that count, its errors are in the
// error.
func (e *Envelope) VerifyAs(threshold int, keys []PublicKey, admit func(PublicKey) error) ([]PublicKey, error) {
	signed, err := e.Verify(threshold, keys...)
	var counted []PublicKey
	var refused []error
	for _, key := range signed {
		if why := admit(key); why != nil {
			refused = append(refused, why)
		} else {
			counted = append(counted, key)
		}
	}
	switch {
	case err != nil && (len(refused) == 0 || !errors.Is(err, ErrUnverified)):
		return counted, err
	case len(counted) >= threshold && err == nil:
		return counted, nil
	}
	return counted, refuse("%d of %d needed signatures: %w", len(counted), threshold, oneLine(refused))
}

// oneLine joins errors with semicolons.
func oneLine(errs []error) error {
	err := errs[0]
	for _, next := range errs[1:] {
		err = fmt.Errorf("%w; %w", err, next)
	}
	return err
}

// A grantFile is the file of a key that is trusted for some purposes, in the
// order of its fields. docs/formats.md describes it.
type grantFile struct {
	Type      string    `json:"type"`
	Format    int       `json:"format"`
	PublicKey string    `json:"public_key"`
	Purposes  []Purpose `json:"purposes"`
	Series    []string  `json:"series,omitempty"`
}

const (
	grantType   = "airbuild-trusted-key"
	grantFormat = 1
	maxGrant    = 256 << 10 // bytes of the file
)

func encodeGrant(key PublicKey, g Grant) ([]byte, error) {
	b, err := canonjson.Compact(grantFile{grantType, grantFormat, key.String(), g.Purposes, g.Series})
	return append(b, '\n'), err
}

// decodeGrant refuses what encodeGrant does not write: a purpose that is not
// known here may limit the others.
func decodeGrant(b []byte) (PublicKey, Grant, error) {
	var f grantFile
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return PublicKey{}, Grant{}, fmt.Errorf("this is not the file of a trusted key: %w", err)
	}
	if f.Type != grantType || f.Format != grantFormat {
		return PublicKey{}, Grant{}, fmt.Errorf("this is of type %.40q and format %d; this airbuild reads %q %d", f.Type, f.Format, grantType, grantFormat)
	}
	key, err := ParsePublicKey([]byte(f.PublicKey))
	if err != nil {
		return PublicKey{}, Grant{}, err
	}
	g := Grant{f.Purposes, f.Series}
	if g.Any() {
		return PublicKey{}, Grant{}, errors.New("it names no purpose")
	}
	if err := g.check(); err != nil {
		return PublicKey{}, Grant{}, err
	}
	again, err := encodeGrant(key, g)
	if err == nil && !bytes.Equal(again, b) {
		err = errors.New("it is not as airbuild writes it")
	}
	return key, g, err
}

// readGrant reads the file of a key that is trusted for some purposes.
func readGrant(name string) (PublicKey, Grant, error) {
	b, err := readBounded(name, maxGrant)
	if err != nil {
		return PublicKey{}, Grant{}, fmt.Errorf("read trusted key: %w", err)
	}
	key, g, err := decodeGrant(b)
	if err != nil {
		return PublicKey{}, Grant{}, fmt.Errorf("read trusted key %s: %w; trust the key again with --force", name, err)
	}
	return key, g, nil
}
