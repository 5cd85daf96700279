package bundling

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/sign"
)

// Explain gives refusals their exit code, and hints where one helps.
func Explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.As(err, new(*sign.LimitError)):
		return exit.With(exit.Unverified, err) // which says what to do
	case errors.Is(err, bundle.ErrUnsigned):
		return exit.With(exit.Unverified, fmt.Errorf("%w\nTo trust its maker: airbuild key trust FILE.pub --for bundle --series NAME. To import it anyway: --allow-unsigned", err))
	case errors.Is(err, bundle.ErrOlder):
		return exit.With(exit.Unverified, fmt.Errorf("%w\nTo go back to it: --allow-older", err))
	case errors.Is(err, bundle.ErrBase):
		return exit.With(exit.Unverified, fmt.Errorf("%w\nMake a full bundle, or one with --since the receipt of this very host: airbuild bundle receipt", err))
	case errors.Is(err, bundle.ErrMissing):
		return exit.With(exit.Unverified, fmt.Errorf("%w\nBring what is missing and do the same again, with the folder or file of each disc: what was good is kept. The side that made the bundle has the same bytes again with the same command", err))
	case errors.Is(err, bundle.ErrRefused):
		return exit.With(exit.Unverified, err)
	case errors.Is(err, fs.ErrNotExist):
		return exit.UsageError("%w", err)
	case errors.Is(err, bundle.ErrSpace):
		return fmt.Errorf("%w\nMake space and do the same again: what was good is kept", err)
	}
	return err
}
