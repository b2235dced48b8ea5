// Schedules are in the owner's zone until somebody chooses another one.
const zone = document.querySelector('input[name=timezone]');
if (zone) zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? '';
