package lab

import (
	"context"
	"errors"
	"log/slog"
	"os"
)

// sweep removes the labs that were to end with a process which was itself killed
// before it could end them. Labs that outlive their process on purpose stay.
func sweep(ctx context.Context, log *slog.Logger) error {
	names, err := Instances()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		s, err := loadState(name)
		// One without its state is being made or removed at this moment.
		if err != nil || s.Options.Detach || living(s.Owner, s.OwnerBorn) {
			continue
		}
		log.Info("removing the lab of a process that was killed", "instance", name, "pid", s.Owner)
		errs = append(errs, Remove(ctx, name, log))
	}
	return errors.Join(errs...)
}

// living says whether that very process is there.
func living(pid int, born uint64) bool {
	now, err := bornAt(pid)
	return err == nil && now == born
}

// claimOwnership notes this process as the one that the lab ends with.
func (l *Lab) claimOwnership() error {
	l.owner = os.Getpid()
	var err error
	l.ownerBorn, err = bornAt(l.owner)
	return err
}
