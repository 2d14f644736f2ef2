import { notifications } from '@mantine/notifications';
import { strings } from '../strings.ts';

/** For what failed where no field or dialog is open to show it. */
export function notifyFailure(message: string, title?: string): void {
  notifications.show({
    color: 'red',
    message,
    ...(title === undefined ? {} : { title }),
    closeButtonProps: { 'aria-label': strings.common.close },
  });
}

/** For what was done where nothing on the page shows it. */
export function notifyDone(message: string): void {
  notifications.show({ message, closeButtonProps: { 'aria-label': strings.common.close } });
}
