export interface Guardian {
  end(): void;
}
export function createGuardian(): Guardian {
  return { end() {} };
}
