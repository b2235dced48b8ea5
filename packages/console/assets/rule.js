// The quick choices of weekdays.
document.addEventListener('click', (e) => {
  const days = e.target.closest('[data-days]')?.dataset.days;
  if (days === undefined) return;
  for (const box of document.querySelectorAll('input[name=day]')) box.checked = days.includes(box.value);
});
