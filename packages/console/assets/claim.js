// Schedules are in the owner's zone until somebody chooses another one.
document.querySelector('input[name=timezone]').value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? '';
