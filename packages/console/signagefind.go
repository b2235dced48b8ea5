package main

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"porthole/packages/console/signage"
)

// pathID returns the number in the path; false when it was answered that there is nothing like that.
func (c *console) pathID(w http.ResponseWriter, r *http.Request, name string) (int64, bool) {
	n, err := strconv.ParseInt(r.PathValue(name), 10, 64)
	if err != nil || n <= 0 {
		c.notFound(w, r)
		return 0, false
	}
	return n, true
}

// named returns what the path names by its id; false when it was answered that there is no such thing.
func named[T any](c *console, w http.ResponseWriter, r *http.Request, of func(context.Context, int64) (T, error)) (T, bool) {
	var none T
	n, ok := c.pathID(w, r, "id")
	if !ok {
		return none, false
	}
	v, err := of(r.Context(), n)
	if err != nil {
		c.signageFailed(w, r, err)
		return none, false
	}
	return v, true
}

// signageFailed answers an error of the signage server: what is gone is said to be gone, and what a person can mend, how.
func (c *console) signageFailed(w http.ResponseWriter, r *http.Request, err error) {
	wrong, mendable := asFieldError(err)
	switch {
	case errors.Is(err, signage.ErrNotFound):
		c.sorry(w, r, http.StatusNotFound, "Not found", "This does not exist any more. Somebody may have deleted it.")
	case mendable:
		c.sorry(w, r, http.StatusUnprocessableEntity, "Not possible", strings.ToUpper(wrong.Field[:1])+wrong.Field[1:]+": "+wrong.Reason+".")
	default:
		c.failed(w, r, err)
	}
}
