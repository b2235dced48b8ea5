package update

// SupportEnds is the day until which this line of Porthole gets security updates (SECURITY.md), as in time.DateOnly.
const SupportEnds = "2031-12-31"
