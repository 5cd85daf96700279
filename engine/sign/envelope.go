package sign

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Limits of envelopes.
const (
	MaxEnvelope   = 64 << 20 // bytes of JSON
	MaxSignatures = 64
	maxTypeLength = 256
	maxKeyIDText  = 256
)

// An Envelope is bytes with their type and signatures, as DSSE has it
// (https://github.com/secure-systems-lab/dsse): what is signed is the type and
// the exact bytes, so nothing needs to be decoded before it is verified.
type Envelope struct { // fields in the order of their names, which Encode keeps
	Payload     []byte              `json:"payload"`
	PayloadType string              `json:"payloadType"`
	Signatures  []EnvelopeSignature `json:"signatures"`
}

// An EnvelopeSignature is one signature of an Envelope. KeyID is a hint.
type EnvelopeSignature struct {
	KeyID string `json:"keyid"`
	Sig   []byte `json:"sig"`
}

// PAE is what DSSE signs: type and payload, with their lengths in front.
//
// The envelope is small enough to be written here: the published Go library
// brings an SSH implementation into every program that checks a signature,
// prints to standard output while it verifies, takes the id for the key when
// it counts, and reads JSON no more strictly than encoding/json does.
func PAE(payloadType string, payload []byte) []byte {
	b := make([]byte, 0, len(payloadType)+len(payload)+64)
	b = append(b, "DSSEv1 "...)
	b = strconv.AppendInt(b, int64(len(payloadType)), 10)
	b = append(b, ' ')
	b = append(b, payloadType...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(payload)), 10)
	b = append(b, ' ')
	return append(b, payload...)
}

// NewEnvelope signs payload with each key. The type says what the payload is: a media
// type or a URI. The payload is not copied.
func NewEnvelope(payloadType string, payload []byte, keys ...*SecretKey) (*Envelope, error) {
	if err := CheckPayloadType(payloadType); err != nil {
		return nil, err
	}
	if base64.StdEncoding.EncodedLen(len(payload)) > MaxEnvelope-MaxSignatures*1024 {
		return nil, fmt.Errorf("%d bytes are too many for an envelope", len(payload))
	}
	e := &Envelope{PayloadType: payloadType, Payload: payload}
	for _, k := range keys {
		if err := e.Sign(k); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// CheckPayloadType refuses what is neither a media type nor a URI.
func CheckPayloadType(s string) error {
	bad := func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' || r == '<' || r == '>' }
	if s == "" || len(s) > maxTypeLength || strings.ContainsFunc(s, bad) {
		return fmt.Errorf("payload type %.40q: want a media type such as application/vnd.in-toto+json", s)
	}
	return nil
}

// Sign adds a signature, in the place of an older one by the key of that id.
func (e *Envelope) Sign(k *SecretKey) error {
	id := k.id.String()
	sigs := slices.DeleteFunc(slices.Clone(e.Signatures), func(s EnvelopeSignature) bool { return s.KeyID == id })
	if len(sigs) == MaxSignatures {
		return fmt.Errorf("an envelope has at most %d signatures", MaxSignatures)
	}
	e.Signatures = append(sigs, EnvelopeSignature{KeyID: id, Sig: ed25519.Sign(k.key, PAE(e.PayloadType, e.Payload))})
	e.sort()
	return nil
}

// sort gives signatures the order of the canonical form.
func (e *Envelope) sort() {
	slices.SortFunc(e.Signatures, func(a, b EnvelopeSignature) int {
		return cmp.Or(cmp.Compare(a.KeyID, b.KeyID), bytes.Compare(a.Sig, b.Sig))
	})
}

// Verify returns which of the trusted keys signed, in the order given, each
// once however many names, ids or signatures it has. With fewer than threshold
// the error wraps ErrUnverified, and the keys that did sign are returned all
// the same. A signature that does not verify is no worse than none, as DSSE
// says, so that others can add theirs.
func (e *Envelope) Verify(threshold int, trusted ...PublicKey) ([]PublicKey, error) {
	if threshold < 1 {
		return nil, errors.New("verify envelope: at least one signature must be asked for")
	}
	pae := PAE(e.PayloadType, e.Payload)
	var signed []PublicKey
	for _, key := range trusted {
		if !slices.ContainsFunc(signed, key.SameKey) && e.signedBy(pae, key) {
			signed = append(signed, key)
		}
	}
	if len(signed) >= threshold {
		return signed, nil
	}
	return signed, e.tooFew(threshold, signed, trusted)
}

// signedBy tries the signatures that name the key, and those that name none.
func (e *Envelope) signedBy(pae []byte, key PublicKey) bool {
	id := key.id.String()
	return slices.ContainsFunc(e.Signatures, func(s EnvelopeSignature) bool {
		return (s.KeyID == "" || strings.EqualFold(s.KeyID, id)) && ed25519.Verify(key.raw[:], pae, s.Sig)
	})
}

// tooFew says why an envelope is not verified.
func (e *Envelope) tooFew(threshold int, signed, trusted []PublicKey) error {
	if len(e.Signatures) == 0 {
		return refuse("it is not signed")
	}
	var unknown, wrong []string
	for _, s := range e.Signatures {
		named := func(k PublicKey) bool { return strings.EqualFold(k.id.String(), s.KeyID) }
		switch name := printableID(s.KeyID); {
		case slices.ContainsFunc(signed, named):
		case slices.ContainsFunc(trusted, named):
			wrong = append(wrong, name)
		default:
			unknown = append(unknown, name)
		}
	}
	why := ""
	if len(wrong) > 0 {
		why += fmt.Sprintf("; the signature of key %s is not over these bytes", strings.Join(wrong, ", "))
	}
	if len(unknown) > 0 {
		why += fmt.Sprintf("; signed by key %s, which is not trusted", strings.Join(unknown, ", "))
	}
	return refuse("%d of %d needed signatures by trusted keys%s", len(signed), threshold, why)
}

func printableID(id string) string {
	if id == "" {
		return "(unnamed)"
	}
	if _, err := ParseKeyID(id); err != nil {
		return fmt.Sprintf("%.40q", id)
	}
	return id
}
